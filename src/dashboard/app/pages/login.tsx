import type { JSX } from "preact";
import { logIn } from "../core/session.ts";
import { Field, Form } from "../ui/dialog.tsx";

/** Stands in place of all pages until the broker knows who asks. */
export function LoginPage(): JSX.Element {
  return (
    <main class="gate">
      <section class="panel">
        <h1 class="brand">
          <img src="/assets/icon.svg" alt="" />
          Millrace
        </h1>
        <Form submit="Log in" onSubmit={({ user = "", password = "" }) => logIn(user, password)}>
          <Field label="User">
            <input name="user" autoComplete="username" autoCapitalize="none" spellcheck={false} required autoFocus />
          </Field>
          <Field label="Password">
            <input name="password" type="password" autoComplete="current-password" required />
          </Field>
        </Form>
      </section>
    </main>
  );
}
