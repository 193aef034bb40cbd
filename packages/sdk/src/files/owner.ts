/** @file Identifies pieces of work, so that any process can tell whether they are still in progress. */

import { toHex } from '../platform/bytes.ts';
import { existsSync, readFileSync, readlinkSync } from '../platform/files.ts';
import { sha256 } from '../platform/hash.ts';
import { basename, dirname, join } from '../platform/path.ts';
import { hostname, isProcess, processId, threadId } from '../platform/system.ts';

/** Identity of a piece of work, valid in file names: machine, boot, process and its start, thread, a random number. */
export type Owner = string;

/** Pattern of an owner within a file name. */
export const OWNER = '[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-z]+-[0-9a-z]+-[0-9a-z]+-[0-9a-f]{8}';

/** Path of a temporary file or folder next to `path`. */
export function temporaryFor(path: string, owner: Owner): string {
  return join(dirname(path), `.${basename(path).slice(0, 120)}.${owner}.tmp`);
}

const TEMPORARY = new RegExp(`^[.].*[.](${OWNER})[.]tmp$`);

/** The owner of a temporary file, by its name. */
export function ownerOfTemporary(name: string): Owner | undefined {
  return TEMPORARY.exec(name)?.[1];
}

/**
 * `alive`; `dead` after the end of the process or a reboot; `elsewhere`, on another machine or in another container,
 * where this process cannot tell.
 */
export type OwnerState = 'alive' | 'dead' | 'elsewhere';

/** Work in progress in this thread, shared by all loaded copies of the SDK. */
const underWay: Set<Owner> = ((globalThis as { [key: symbol]: unknown })[Symbol.for('onnx-lora.owners')] ??=
  new Set()) as Set<Owner>;

/** Process numbers are unique only within a machine and a process namespace. */
const machine = digest(hostname(), textOf(() => readlinkSync('/proc/self/ns/pid')), textOf(() => readFileSync('/etc/machine-id', 'utf8'))); // prettier-ignore
const boot = digest(textOf(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8')));
const own = [machine, boot, processId.toString(36), startOf(processId) ?? '0', threadId.toString(36)];

/** Starts a piece of work, until {@link endWork}. */
export function beginWork(): Owner {
  const owner = [...own, toHex(crypto.getRandomValues(new Uint8Array(4)))].join('-');
  underWay.add(owner);
  return owner;
}

/** Ends a piece of work. */
export function endWork(owner: Owner): void {
  underWay.delete(owner);
}

/** State of a piece of work. */
export function stateOf(owner: Owner): OwnerState {
  const [onMachine, atBoot, pid = '', start, thread] = owner.split('-');
  if (onMachine !== machine) return 'elsewhere';
  if (atBoot !== boot) return 'dead';
  const started = startOf(parseInt(pid, 36));
  if (started !== start) return 'dead';
  const isThisThread = pid === own[2] && thread === own[4];
  return isThisThread && !underWay.has(owner) ? 'dead' : 'alive';
}

/** Start of a process in the system's ticks; `0` if unknown; undefined if the process does not exist. */
function startOf(pid: number): string | undefined {
  if (existsSync('/proc/self/stat')) {
    // The command in parentheses may hold anything.
    const fields = textOf(() => readFileSync(`/proc/${pid}/stat`, 'latin1')).replace(/^.*\) /s, '').split(' '); // prettier-ignore
    const [state = ''] = fields;
    // A zombie writes no more.
    return fields.length < 20 || 'ZX'.includes(state) ? undefined : Number(fields[19]).toString(36);
  }
  return isProcess(pid) ? '0' : undefined;
}

/** The result, or an empty string where the system refuses. */
function textOf(read: () => string): string {
  try {
    return read();
  } catch {
    return '';
  }
}

function digest(...parts: readonly string[]): string {
  return sha256().update(parts.join('\0')).digest('hex').slice(0, 8);
}
