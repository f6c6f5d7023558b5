/** Who is using the dashboard. */
import { apiPath, csrfToken, get, isLoginNeeded, request } from "./api.ts";
import { Store } from "./store.ts";
import type { Whoami } from "./types.ts";

export const whoami = new Store<Whoami | null>(null);

/** @throws ApiError, 401 where somebody has to log in. */
export async function askWhoIAm(): Promise<void> {
  accept(await get<Whoami>(apiPath(["whoami"])));
}

/** @throws ApiError. */
export async function logIn(user: string, password: string): Promise<void> {
  const { body } = await request<Whoami>("POST", apiPath(["login"]), { body: { user, password }, isLogin: true });
  accept(body);
  isLoginNeeded.set(false);
}

function accept(who: Whoami): void {
  csrfToken.set(who.csrf ?? null);
  whoami.set(who);
}

export async function logOut(): Promise<void> {
  await request("POST", apiPath(["logout"]));
  csrfToken.set(null);
  whoami.set(null);
  isLoginNeeded.set(true);
}
