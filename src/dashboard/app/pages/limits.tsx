/** Namespaces with what they hold, and the quotas of namespaces and users with what is used of them. */
import type { JSX } from "preact";
import { PageHead } from "../ui/bits.tsx";
import { NamespacesPanel } from "./limits-namespaces.tsx";
import { QuotasPanel } from "./limits-quotas.tsx";

export function LimitsPage(): JSX.Element {
  return (
    <div class="page">
      <PageHead title="Namespaces and quotas" />
      <NamespacesPanel />
      <QuotasPanel />
    </div>
  );
}
