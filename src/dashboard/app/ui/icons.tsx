/** Line drawings of 20 × 20, in the colour of the text beside them. */
import type { JSX } from "preact";

const PATHS = {
  overview: "M3 11l4-4 3 3 7-7M3 17h14",
  topics: "M3 5h14M3 10h14M3 15h9",
  groups:
    "M7 8a2.5 2.5 0 1 0 0-.01M2.5 16c.5-3 2-4.500 4.500-4.500S11 13 11.500 16M13.500 8.500a2 2 0 1 0 0-.01M13.500 12c2 0 3.500 1.300 4 4",
  queues: "M3 4h14v4H3zM3 12h14v4H3z",
  exchanges: "M3 10h4M7 10l6-5h4M7 10l6 5h4M7 10h10",
  schemas: "M5 3h7l3 3v11H5zM8 9h4M8 13h4",
  messages: "M3 5h14v9H9l-4 3v-3H3z",
  publish: "M3 10l14-6-5 13-3-5zM9 12l3-3",
  explain: "M9 4a5 5 0 1 0 0 10A5 5 0 0 0 9 4M13 13l4 4",
  connections: "M4 10h12M7 6l-4 4 4 4M13 6l4 4-4 4",
  access: "M5 9h10v8H5zM7 9V6a3 3 0 0 1 6 0v3",
  limits: "M4 15a7 7 0 1 1 12 0M10 12l3-4",
  menu: "M3 5h14M3 10h14M3 15h14",
  sun: "M10 6.500a3.500 3.500 0 1 0 0 7a3.500 3.500 0 1 0 0-7M10 2v1.500M10 16.500V18M2 10h1.500M16.500 10H18M4.300 4.300l1 1M14.700 14.700l1 1M4.300 15.700l1-1M14.700 5.300l1-1",
  moon: "M16 12.500A7 7 0 0 1 7.500 4a6.500 6.500 0 1 0 8.500 8.500z",
  help: "M7.500 7.500A2.500 2.500 0 1 1 10 10.500V12M10 15v.01",
  close: "M5 5l10 10M15 5L5 15",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }): JSX.Element {
  return (
    <svg class="icon" viewBox="0 0 20 20" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
