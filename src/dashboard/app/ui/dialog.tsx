/** What is asked before something is done, over the page. */
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { ErrorNote } from "./bits.tsx";
import { Icon } from "./icons.tsx";

interface DialogProps {
  readonly title: string;
  onClose(): void;
  readonly children: ComponentChildren;
  readonly isWide?: boolean;
}

/** Modal: the browser keeps the focus in it and closes it on Escape. */
export function Dialog({ title, onClose, children, isWide = false }: DialogProps): JSX.Element {
  const box = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => box.current?.showModal(), []);
  return (
    <dialog ref={box} class={isWide ? "wide" : ""} onClose={onClose} aria-labelledby={id}>
      <header>
        <h2 id={id}>{title}</h2>
        <button type="button" class="quiet icon-only" aria-label="Close" onClick={() => box.current?.close()}>
          <Icon name="close" />
        </button>
      </header>
      {children}
    </dialog>
  );
}

export type Fields = Readonly<Record<string, string>>;

interface FormProps {
  readonly submit: string;
  readonly isDangerous?: boolean;
  /** What it throws is shown under the fields. */
  onSubmit(fields: Fields): Promise<void> | void;
  readonly children?: ComponentChildren;
  /** Stands beside the button. */
  readonly aside?: ComponentChildren;
  /** A search: narrow fields, and the button behind them. */
  readonly isInline?: boolean;
  /** Something is typed or chosen. */
  onEdit?(): void;
}

/** Fields by their names; an empty one is "". One submission at a time. */
export function Form({
  submit,
  isDangerous = false,
  onSubmit,
  children,
  aside,
  isInline = false,
  onEdit,
}: FormProps): JSX.Element {
  const [error, setError] = useState<unknown>();
  const [isBusy, setBusy] = useState(false);
  const run = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const data = new FormData(event.currentTarget as HTMLFormElement, event.submitter);
    const fields = Object.fromEntries([...data].map(([name, value]) => [name, String(value)]));
    setBusy(true);
    setError(undefined);
    try {
      await onSubmit(fields);
    } catch (failure) {
      setError(failure);
    } finally {
      setBusy(false);
    }
  };
  return (
    <form
      class={isInline ? "inline" : ""}
      onInput={() => onEdit?.()}
      onSubmit={(event) => void run(event as unknown as SubmitEvent)}
    >
      {children}
      <ErrorNote error={error} />
      <footer>
        {/* The first of them is the one that Enter presses. */}
        <button type="submit" class={isDangerous ? "danger" : "primary"} disabled={isBusy}>
          {submit}
        </button>
        {aside}
      </footer>
    </form>
  );
}

interface FieldProps {
  readonly label: string;
  readonly hint?: ComponentChildren;
  readonly isWide?: boolean;
  readonly children: ComponentChildren;
}

export function Field({ label, hint, isWide = false, children }: FieldProps): JSX.Element {
  return (
    <div class={`field ${isWide ? "full" : ""}`}>
      <label>
        <span>{label}</span>
        {children}
      </label>
      {hint !== undefined && <small>{hint}</small>}
    </div>
  );
}

interface ConfirmProps {
  readonly title: string;
  readonly submit: string;
  /** Has to be typed first, where the act cannot be undone. */
  readonly name?: string;
  onConfirm(): Promise<void>;
  onClose(): void;
  readonly children: ComponentChildren;
}

export function Confirm({ title, submit, name, onConfirm, onClose, children }: ConfirmProps): JSX.Element {
  const check = async ({ typed }: Fields): Promise<void> => {
    if (name !== undefined && typed !== name) throw new Error(`Type ${name} to go on.`);
    await onConfirm();
    onClose();
  };
  return (
    <Dialog title={title} onClose={onClose}>
      <Form submit={submit} isDangerous onSubmit={check}>
        <p>{children}</p>
        {name !== undefined && (
          <Field label={`Type ${name} to go on`} isWide>
            <input name="typed" autoComplete="off" spellcheck={false} required />
          </Field>
        )}
      </Form>
    </Dialog>
  );
}
