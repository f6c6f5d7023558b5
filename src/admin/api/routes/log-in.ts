/** What the document says of logging in, which has a handler of its own (src/admin/log-in.ts). */
import { bodyOf, ref, type Route, text } from "../route.ts";

const tag = "log-in";

export const LOG_IN: readonly Omit<Route, "run">[] = [
  {
    method: "POST",
    path: "/login",
    tag,
    summary: "Opens a session for a page: the answer sets a cookie",
    description: "A change by cookie carries the answer's `csrf` in the header x-millrace-csrf.",
    ops: [],
    body: bodyOf({ user: text, password: text }, ["user", "password"]),
    answer: ref("LogIn"),
  },
  { method: "POST", path: "/logout", tag, summary: "Ends the session of the cookie", ops: [] },
  {
    method: "GET",
    path: "/whoami",
    tag,
    summary: "Tells who sends the request; of a session by cookie also its csrf and its end",
    ops: [],
    answer: ref("LogIn"),
  },
];
