/** Users, roles, permissions, and whether somebody may do something. */
import type { JSX } from "preact";
import { linkTo } from "../core/router.ts";
import { PageHead, Tabs } from "../ui/bits.tsx";
import { PermissionsTab } from "./access-permissions.tsx";
import { RolesTab } from "./access-roles.tsx";
import { TestTab } from "./access-test.tsx";
import { UsersTab } from "./access-users.tsx";
import type { PageProps } from "./index.ts";

const TABS = [
  { word: "users", name: "Users", Tab: UsersTab },
  { word: "roles", name: "Roles", Tab: RolesTab },
  { word: "permissions", name: "Permissions", Tab: PermissionsTab },
  { word: "test", name: "Who may?", Tab: TestTab },
] as const;

export function AccessPage({ words }: PageProps): JSX.Element {
  const open = TABS.find(({ word }) => word === words[0]) ?? TABS[0];
  const { Tab } = open;
  return (
    <div class="page">
      <PageHead title="Access" note="What nothing allows is refused; a rule that denies wins over all that allow." />
      <Tabs
        label="Access"
        tabs={TABS.map(({ word, name }) => ({ name, href: linkTo(["access", word]), isOpen: word === open.word }))}
      />
      <Tab />
    </div>
  );
}
