/** @file The machine as a page sees it. */

interface Scope {
  readonly navigator?: { readonly hardwareConcurrency?: number; readonly deviceMemory?: number };
  readonly performance: { readonly memory?: { readonly usedJSHeapSize: number } };
}

const { navigator = {}, performance } = globalThis as unknown as Scope;
const GIB = 2 ** 30;
/** WebAssembly's memory ends here. */
const MOST = 4 * GIB;

export const environment: Readonly<Record<string, string | undefined>> = {};
/** Distinguishes tabs. */
export const processId: number = crypto.getRandomValues(new Uint32Array(1))[0]!;
export const threadId = 0;
export const system = 'browser';
export const architecture = 'wasm32';
export const nodeVersion = '';

export function availableParallelism(): number {
  return navigator.hardwareConcurrency ?? 1;
}

/** Bytes for a training: the device's memory, which browsers round down to 8 GB, or WebAssembly's limit. */
export function totalmem(): number {
  return Math.min((navigator.deviceMemory ?? 4) * GIB, MOST);
}

export function hostname(): string {
  return 'browser';
}

export function tmpdir(): string {
  return '/tmp';
}

export function homedir(): string {
  return '/';
}

export function isProcess(id: number): boolean {
  return id === processId;
}

/** Bytes of JavaScript's heap, where the browser tells; WebAssembly's memory is beside it. */
export function residentBytes(): number {
  return performance.memory?.usedJSHeapSize ?? 0;
}

export function atExit(): void {
  // Files of a page that closes go with it.
}

export { atExit as notAtExit };

export function emitWarning(message: string): void {
  globalThis.console.warn(message);
}

export function garbageCollector(): () => void {
  return () => undefined;
}

/** Whether plain data, typed arrays included, is equal. */
export function isDeepStrictEqual(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => key in b && isDeepStrictEqual(a[key as keyof typeof a], b[key as keyof typeof b]))
  );
}

/** Unknown on a page. */
export function arrayBytes(): number {
  return 0;
}
