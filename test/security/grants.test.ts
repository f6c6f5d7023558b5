/** Compiled decisions against the meaning of rules, which reads all of them one by one. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  ADMINISTRATOR,
  decide,
  Grants,
  INBOX_PREFIX,
  MATCHES,
  MONITORING,
  type Need,
  parseRule,
  type Resource,
  RESOURCE_KINDS,
  RIGHTS,
  type Rule,
  type Subject,
} from "../../src/security/index.ts";
import { compilePattern } from "../../src/stdx/index.ts";

const NEEDS: readonly Need[] = [...RIGHTS, "describe", "enter"];
const namespace = fc.constantFrom("default", "shop", "shop.eu");
const word = fc.constantFrom("a", "b", "ab");
const name = fc.array(word, { minLength: 1, maxLength: 3 }).map((words) => words.join("."));
const pattern = fc
  .array(fc.oneof(word, fc.constantFrom("*", "#")), { minLength: 1, maxLength: 3 })
  .map((words) => words.join("."));

const resource: fc.Arbitrary<Resource> = fc
  .tuple(fc.constantFrom(...RESOURCE_KINDS), namespace, fc.oneof(name, fc.constant("")))
  .map(([kind, within, called]) => {
    if (kind === "broker") return { kind, namespace: "", name: "" };
    return { kind, namespace: within, name: kind === "namespace" ? "" : called };
  });

const who = fc.oneof(
  fc.constantFrom("ann", "bob", "*").map((principal) => ({ principal })),
  fc.constantFrom("readers", "writers", MONITORING).map((role) => ({ role })),
);

const rule: fc.Arbitrary<Rule> = fc
  .record({
    who,
    effect: fc.constantFrom("allow", "deny"),
    operations: fc.uniqueArray(fc.constantFrom(...RIGHTS), { minLength: 1 }),
    kind: fc.constantFrom(...RESOURCE_KINDS, "*"),
    namespace: fc.oneof(namespace, pattern, fc.constantFrom("#", "*")),
    match: fc.constantFrom(...MATCHES),
    literal: fc.oneof(name, fc.constant("")),
    pattern,
  })
  .map(({ who: about, effect, operations, kind, namespace: within, match, literal, pattern: words }) => {
    const called = match === "pattern" ? words : literal;
    return parseRule({ ...about, effect, operations, resource: { kind, namespace: within, name: called, match } }, "r");
  });

const subject: fc.Arbitrary<Subject> = fc.record({
  name: fc.constantFrom("ann", "bob", "eve"),
  roles: fc.uniqueArray(fc.constantFrom("readers", "writers", MONITORING, ADMINISTRATOR), { maxLength: 2 }),
});

/** What the core does with the texts that it is given. */
function permits(rules: readonly string[], key: string): boolean {
  const matches = (text: string): boolean => {
    const [kind, called] = [text[1], text.slice(2)];
    if (kind === "=") return key === called;
    if (kind === "^") return key.startsWith(called);
    return key === "" ? called === "#" : compilePattern(called)(key);
  };
  const holds = (sign: string): boolean => rules.some((text) => text.startsWith(sign) && matches(text));
  return holds("+") && !holds("-");
}

describe("compiled decisions", () => {
  test("are those of all rules read one by one, asked once or twice", () => {
    fc.assert(
      fc.property(
        fc.array(rule, { maxLength: 8 }),
        subject,
        fc.array(resource, { minLength: 1 }),
        (rules, by, asked) => {
          const grants = new Grants(rules, by);
          for (const thing of [...asked, ...asked]) {
            for (const need of NEEDS) {
              expect([need, thing, grants.allows(need, thing)]).toEqual([
                need,
                thing,
                decide(rules, by, need, thing).isAllowed,
              ]);
            }
          }
        },
      ),
      { numRuns: 1500 },
    );
  });

  test("of the queues that may be published to are the same as names", () => {
    fc.assert(
      fc.property(fc.array(rule, { maxLength: 8 }), subject, namespace, name, (rules, by, within, queue) => {
        const names = new Grants(rules, by).namesOf("queue", "write", within);
        const isAllowed = decide(rules, by, "write", { kind: "queue", namespace: within, name: queue }).isAllowed;
        expect(names === undefined || permits(names, queue)).toBe(isAllowed);
      }),
      { numRuns: 1500 },
    );
  });

  test("let everybody answer to an inbox, unless a rule denies it", () => {
    const denied = parseRule(
      {
        principal: "ann",
        effect: "deny",
        operations: ["write"],
        resource: { kind: "queue", match: "prefix", name: "" },
      },
      "r",
    );
    const inbox = `${INBOX_PREFIX}1`;
    const ann: Subject = { name: "ann", roles: [] };
    expect(permits(new Grants([], ann).namesOf("queue", "write", "default") ?? [], inbox)).toBe(true);
    expect(permits(new Grants([denied], ann).namesOf("queue", "write", "default") ?? [], inbox)).toBe(false);
  });

  test("keep namespaces and names apart that read alike together", () => {
    const rule = parseRule(
      { principal: "ann", operations: ["read"], resource: { kind: "topic", namespace: "shop", name: "eu" } },
      "r",
    );
    const grants = new Grants([rule], { name: "ann", roles: [] });
    expect(grants.allows("read", { kind: "topic", namespace: "shop", name: "eu" })).toBe(true);
    expect(grants.allows("read", { kind: "topic", namespace: "sho", name: "peu" })).toBe(false);
  });

  test("of names that no thing can have are not remembered", () => {
    const grants = new Grants([], { name: "ann", roles: [] });
    const endless = "x".repeat(100_000);
    expect(grants.allows("read", { kind: "topic", namespace: "default", name: endless })).toBe(false);
  });
});

describe("what a rule is", () => {
  const fits = { principal: "ann", operations: ["read"], resource: { kind: "topic", name: "a" } };

  test("defaults to allowing one name in the namespace default", () => {
    expect(parseRule(fits, "r")).toEqual({
      id: "r",
      principal: "ann",
      role: null,
      effect: "allow",
      operations: ["read"],
      resource: { kind: "topic", namespace: "default", name: "a", match: "literal" },
    });
  });

  test.each([
    ["about nobody", { principal: null }],
    ["about two", { role: "readers" }],
    ["about what is above the rules", { principal: null, role: ADMINISTRATOR }],
    ["with a name that forges a line", { principal: "ann\n" }],
    ["of no operation", { operations: [] }],
    ["of an operation twice", { operations: ["read", "read"] }],
    ["of an unknown operation", { operations: ["fly"] }],
    ["of an unknown effect", { effect: "maybe" }],
    ["about an unknown kind", { resource: { kind: "cloud", name: "a" } }],
    ["in no namespace", { resource: { kind: "topic", namespace: "", name: "a" } }],
    ["with a broken pattern", { resource: { kind: "topic", name: "a.b*", match: "pattern" } }],
    ["without a name", { resource: { kind: "topic" } }],
    ["with a name without end", { resource: { kind: "topic", name: "x".repeat(250) } }],
    ["about nothing", { resource: null }],
  ])("is refused %s", (_, change) => {
    expect(() => parseRule({ ...fits, ...change }, "r")).toThrow(expect.objectContaining({ name: "invalid_argument" }));
  });
});
