/**
 * What the runtime offers natively: Bun and Node have zlib, a browser has not.
 *
 * `process.getBuiltinModule` finds Node's modules synchronously and leaves no
 * import behind that a bundler for browsers would trip over.
 */

interface Zlib {
  crc32?: (data: Uint8Array, value?: number) => number;
  zstdCompressSync?: (data: Uint8Array) => Uint8Array;
  zstdDecompressSync?: (data: Uint8Array, options?: { maxOutputLength?: number }) => Uint8Array;
}

interface RuntimeProcess {
  getBuiltinModule?: (name: string) => unknown;
}

/** A module of Node's, or undefined where there is none (browsers, Node before 20.16). */
export function builtinModule<Module>(name: string): Module | undefined {
  const host = (globalThis as { process?: RuntimeProcess }).process;
  return host?.getBuiltinModule?.(name) as Module | undefined;
}

export const zlib: Zlib | undefined = builtinModule<Zlib>("node:zlib");
