/**
 * `npm run build -- --deb`: dist/millrace_VERSION_ARCHITECTURE.deb, from dist/millrace and what lies in
 * src/server/deploy. Needs dpkg-deb, which every Debian has.
 */
import { copyFileSync, chmodSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { addon, bun, call, Missing, root } from "./setup.mjs";

const ARCHITECTURES = { x64: "amd64", arm64: "arm64" };
const SCRIPTS = ["postinst", "prerm", "postrm"];

/** Where each file of the repository goes. */
const FILES = [
  ["dist/millrace", "usr/bin/millrace", 0o755],
  ["src/server/deploy/millrace.service", "usr/lib/systemd/system/millrace.service", 0o644],
  ["src/server/deploy/millrace.toml", "etc/millrace/millrace.toml", 0o640],
  ["src/metrics/prometheus/alerts.yml", "usr/share/millrace/alerts.yml", 0o644],
  ["src/metrics/grafana/millrace.json", "usr/share/millrace/grafana.json", 0o644],
  ["src/server/deploy/README.md", "usr/share/doc/millrace/README.md", 0o644],
];

/** Builds the package from the binary, which has to be there. Returns its path. */
export async function buildDebian() {
  const { version, description } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const architecture = ARCHITECTURES[process.arch];
  if (architecture === undefined) throw new Missing(`There is no Debian architecture for ${process.arch}.`);
  const name = `millrace_${version}_${architecture}.deb`;
  const folder = join(root, `dist/deb.${process.pid}.tmp`);
  try {
    lay(folder, { version, architecture, description });
    // zstd packs in a second what xz takes two minutes for; dpkg reads it from Debian 12 and Ubuntu 22.04 on.
    const args = ["--root-owner-group", "-Zzstd", "--build", folder, join(root, "dist", name)];
    const code = await call("dpkg-deb", args, { stdio: ["ignore", 2, 2] }).catch(() => 1);
    if (code !== 0) throw new Missing("dpkg-deb could not build the package (see above).");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  console.log(`built dist/${name}`);
}

function lay(folder, { version, architecture, description }) {
  for (const [from, to, mode] of FILES) {
    place(join(folder, to), mode, (path) => copyFileSync(join(root, from), path));
  }
  // Folders of the configuration's own; who may read them is set when it is installed.
  makeFolder(join(folder, "etc/millrace/transforms"));
  const licence = readFileSync(join(root, "LICENSE"), "utf8");
  write(join(folder, "usr/share/doc/millrace/copyright"), `Millrace ${version}\n\n${licence}`);
  // Without a time in it, the same sources make the same file.
  const changelog = gzipSync(readFileSync(join(root, "CHANGELOG.md")), { level: 9 });
  write(join(folder, "usr/share/doc/millrace/changelog.gz"), changelog);
  write(join(folder, "DEBIAN/conffiles"), "/etc/millrace/millrace.toml\n");
  for (const script of SCRIPTS) {
    const path = join(root, "src/server/deploy/debian", script);
    place(join(folder, "DEBIAN", script), 0o755, (to) => copyFileSync(path, to));
  }
  write(join(folder, "DEBIAN/control"), control({ version, architecture, description, folder }));
}

/** deb-control(5). */
function control({ version, architecture, description, folder }) {
  const kib = FILES.reduce((sum, [, to]) => sum + Math.ceil(statSync(join(folder, to)).size / 1024), 0);
  return [
    "Package: millrace",
    `Version: ${version}`,
    `Architecture: ${architecture}`,
    "Maintainer: Millrace <millrace@localhost>",
    `Installed-Size: ${kib}`,
    `Depends: libc6 (>= ${glibcOf([addon, bun])}), passwd`,
    "Recommends: systemd",
    "Suggests: prometheus, grafana",
    "Section: net",
    "Priority: optional",
    `Description: ${description}`,
    " Event streams with consumer groups and replay, work queues with acks, retries",
    " and dead letters, and exchanges that route to both, in one process.",
    "",
  ].join("\n");
}

/** The newest version of the C library that a symbol of these files asks for. */
function glibcOf(paths) {
  const minors = paths.flatMap((path) => {
    const text = readFileSync(path).toString("latin1");
    return [...text.matchAll(/\0GLIBC_2\.(\d+)(?=\0)/g)].map(([, minor]) => Number(minor));
  });
  return `2.${Math.max(...minors)}`;
}

function makeFolder(path) {
  mkdirSync(path, { recursive: true, mode: 0o755 });
}

function place(path, mode, make) {
  makeFolder(dirname(path));
  make(path);
  // Whatever the umask of who builds.
  chmodSync(path, mode);
}

function write(path, content) {
  place(path, 0o644, () => writeFileSync(path, content));
}
