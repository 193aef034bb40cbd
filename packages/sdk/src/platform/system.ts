/** @file The machine and this process. On a page, `browser/system.ts` takes this file's place. */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

export { availableParallelism, homedir, hostname, tmpdir, totalmem } from 'node:os';
export { isDeepStrictEqual } from 'node:util';
export { threadId } from 'node:worker_threads';

/** Environment variables by name. */
export const environment: Readonly<Record<string, string | undefined>> = process.env;

/** Number of the process on its machine. */
export const processId: number = process.pid;

/** The operating system, by Node's name. */
export const system: string = process.platform;

/** The processor's architecture, by Node's name. */
export const architecture: string = process.arch;

/** Version of Node. */
export const nodeVersion: string = process.versions.node;

/** Whether a process exists: undefined if not, else whether this one may signal it. */
export function isProcess(id: number): boolean {
  try {
    process.kill(id, 0);
    return true;
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Bytes of memory that the process holds. */
export function residentBytes(): number {
  return process.memoryUsage.rss();
}

/** Calls a function when the process ends. */
export function atExit(call: () => void): void {
  process.on('exit', call);
}

/** Forgets a function of {@link atExit}. */
export function notAtExit(call: () => void): void {
  process.off('exit', call);
}

/** Warns whoever runs the process. */
export function emitWarning(message: string): void {
  process.emitWarning(message, 'OnnxLoraWarning');
}

/** V8's garbage collector, which Node exposes only with a flag: of everything, or of the youngest objects. */
export function garbageCollector(): (options?: { readonly type: 'minor' }) => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as (options?: { readonly type: 'minor' }) => void;
}

/** Bytes of arrays that the garbage collector has not freed. */
export function arrayBytes(): number {
  return process.memoryUsage().arrayBuffers;
}
