import { XMLBuilder, XMLParser, XMLValidator } from "fast-xml-parser";
import { failed, reasonOf } from "./fault.ts";
import { isObject } from "./json.ts";
import type { Step } from "./step.ts";

/** XML to JSON and back. */

export interface XmlToJson {
  /** "keep" (the default): `{"item": {…}}`. "drop": what is in the root element alone. */
  readonly root?: "keep" | "drop";
  /** Before the names of attributes. Default none. */
  readonly attributePrefix?: string;
  /** Name of an element's own text beside attributes or children. Default "#text". */
  readonly textName?: string;
  /** Numbers and booleans as such, where that loses nothing. Default true. */
  readonly types?: boolean;
  /** Paths below the root (`lines.line`) that are arrays also where there is one. */
  readonly arrays?: readonly string[];
}

export interface JsonToXml {
  /** Name of the root element. Default: the only field of the object. */
  readonly root?: string;
  /** Which fields become attributes: a list of names, or "scalars" for all that are neither objects nor arrays. Default none. */
  readonly attributes?: readonly string[] | "scalars";
  /** Fields with this prefix become attributes too. Default none. */
  readonly attributePrefix?: string;
  /** Field that is an element's own text. Default "#text". */
  readonly textName?: string;
}

const DEPTH_MAX = 64;
const TEXT_NAME = "#text";
/** An element's name, as far as XML 1.0 and its namespaces go without rare letters of other planes. */
const NAME = /^[\p{L}_][\p{L}\p{N}._:·-]*$/u;
/** What marks attributes between here and the library: no XML name begins like this. */
const MARK = "@";

export function xmlToJson(definition: XmlToJson): Step {
  const { root = "keep", attributePrefix = "", textName = TEXT_NAME, types = true, arrays = [] } = definition;
  const lists = new Set(arrays);
  const belowRoot = (path: string): string => path.slice(path.indexOf(".") + 1);
  const parser = new XMLParser({
    ignoreAttributes: false,
    attributeNamePrefix: attributePrefix,
    textNodeName: textName,
    ignoreDeclaration: true,
    ignorePiTags: true,
    parseTagValue: false,
    parseAttributeValue: false,
    maxNestedTags: DEPTH_MAX,
    isArray: (_name, path) => lists.size > 0 && lists.has(belowRoot(String(path))),
  });
  return (message) => {
    const text = message.text() ?? "";
    const tree = parsed(parser, text);
    const [name = "", ...others] = Object.keys(tree);
    if (others.length > 0 || name === "" || Array.isArray(tree[name])) {
      throw failed("the XML has more than one root element");
    }
    const body = types ? typed(tree) : tree;
    return message.withJson(root === "drop" ? (body as Record<string, unknown>)[name] : body);
  };
}

function parsed(parser: XMLParser, text: string): Record<string, unknown> {
  if (hasDoctype(text)) throw failed("the XML has a DOCTYPE, which is not read: entities could grow without end");
  const verdict = XMLValidator.validate(text);
  if (verdict !== true) {
    const { msg, line, col } = verdict.err;
    const place = col === undefined ? `line ${line}` : `line ${line}, column ${col}`;
    throw failed(`the XML is malformed at ${place}: ${msg}`, { line });
  }
  try {
    return parser.parse(text) as Record<string, unknown>;
  } catch (error) {
    throw failed(`the XML cannot be read: ${reasonOf(error, 300)}`);
  }
}

/** A DOCTYPE stands before the root element, behind comments and instructions at most. */
function hasDoctype(text: string): boolean {
  let at = text.indexOf("<");
  while (at >= 0) {
    const isComment = text.startsWith("<!--", at);
    if (!isComment && !text.startsWith("<?", at)) return text.slice(at, at + 9).toUpperCase() === "<!DOCTYPE";
    const end = text.indexOf(isComment ? "-->" : "?>", at + 2);
    at = end < 0 ? -1 : text.indexOf("<", end);
  }
  return false;
}

/** Texts as numbers and booleans where writing these again gives the same text: `007`, `1e5` and `0.10` stay text. */
function typed(value: unknown): unknown {
  if (typeof value === "string") {
    if (value === "true" || value === "false") return value === "true";
    const number = Number(value);
    const isExact =
      String(number) === value &&
      Number.isFinite(number) &&
      (!Number.isInteger(number) || Number.isSafeInteger(number));
    return isExact ? number : value;
  }
  if (Array.isArray(value)) return value.map(typed);
  if (!isObject(value)) return value;
  for (const name of Object.keys(value)) value[name] = typed(value[name]);
  return value;
}

export function jsonToXml(definition: JsonToXml): Step {
  const { root, attributes = [], attributePrefix = "", textName = TEXT_NAME } = definition;
  const names = new Set(attributes === "scalars" ? [] : attributes);
  const isAttribute = (name: string, value: unknown): boolean =>
    !isObject(value) &&
    !Array.isArray(value) &&
    (attributes === "scalars" || names.has(name) || (attributePrefix !== "" && name.startsWith(attributePrefix)));
  const shape: Shape = { textName, isAttribute, attributePrefix };
  const builder = new XMLBuilder({
    ignoreAttributes: false,
    attributeNamePrefix: MARK,
    textNodeName: textName,
    suppressEmptyNode: true,
    suppressBooleanAttributes: false,
  });
  return (message) => {
    const body = message.shared();
    const [name, content] = rootOf(root, body);
    checkName(name);
    return message.with({ value: String(builder.build({ [name]: marked(content, shape, 1) })) });
  };
}

interface Shape {
  readonly textName: string;
  readonly attributePrefix: string;
  isAttribute(name: string, value: unknown): boolean;
}

function rootOf(root: string | undefined, body: unknown): [string, unknown] {
  if (root !== undefined) {
    if (Array.isArray(body)) throw failed("an array has no single root element in XML");
    return [root, body];
  }
  const entries = isObject(body) ? Object.entries(body) : [];
  const [only] = entries;
  if (only === undefined || entries.length !== 1 || Array.isArray(only[1])) {
    throw failed("the JSON is no object of one field, and json_to_xml names no root");
  }
  return only;
}

function checkName(name: string): void {
  if (!NAME.test(name))
    throw failed(`"${name.slice(0, 100)}" is no name of an XML element or attribute: rename the field`);
}

/** The tree as the builder wants it: attributes with their mark, everything else by checked names. */
function marked(value: unknown, shape: Shape, depth: number): unknown {
  if (depth > DEPTH_MAX) throw failed(`the JSON is deeper than ${DEPTH_MAX} levels`);
  if (Array.isArray(value)) return value.map((item) => marked(item, shape, depth + 1));
  if (!isObject(value)) return value === null ? "" : value;
  const fields: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(value)) {
    if (name === shape.textName) {
      fields[name] = field;
    } else if (shape.isAttribute(name, field)) {
      const plain = name.startsWith(shape.attributePrefix) ? name.slice(shape.attributePrefix.length) : name;
      checkName(plain);
      fields[MARK + plain] = field === null ? "" : field;
    } else {
      checkName(name);
      fields[name] = marked(field, shape, depth + 1);
    }
  }
  return fields;
}
