/** Who is using the dashboard. */
import { apiPath, csrfToken, get, isLoginNeeded, request } from "./api.ts";
import { Store } from "./store.ts";
import type { Whoami } from "./types.ts";

export const whoami = new Store<Whoami | null>(null);

/** @throws ApiError, 401 where somebody has to log in. */
export async function askWhoIAm(): Promise<void> {
  const body = await get<Whoami>(apiPath(["whoami"]));
  csrfToken.set(body.csrf ?? null);
  whoami.set(body);
}

/** @throws ApiError. */
export async function logIn(user: string, password: string): Promise<void> {
  const body = { user, password };
  await request("POST", apiPath(["login"]), { body, isLogin: true });
  await askWhoIAm();
  isLoginNeeded.set(false);
}

export async function logOut(): Promise<void> {
  await request("POST", apiPath(["logout"]));
  csrfToken.set(null);
  whoami.set(null);
  isLoginNeeded.set(true);
}
