/** How far a broker is; the HTTP side answers by it. */
export type Phase = "recovering" | "ready" | "stopping";
