/** @file Who writes: a name for a piece of work by which any process can tell whether it is still under way. */

import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { threadId } from 'node:worker_threads';

/**
 * Names of a piece of work: machine, boot, process, when that began, thread, and a number, so that no two are ever the same. Of
 * characters that any file name may have.
 */
export type Owner = string;

/** How a name looks in the name of a file. */
export const OWNER = '[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-z]+-[0-9a-z]+-[0-9a-z]+-[0-9a-f]{8}';

/** A name for what stands beside a file, or a folder, until the work is done. */
export function temporaryFor(path: string, owner: Owner): string {
  return join(dirname(path), `.${basename(path).slice(0, 120)}.${owner}.tmp`);
}

const TEMPORARY = new RegExp(`^[.].*[.](${OWNER})[.]tmp$`);

/** Whose a file of such a name is. */
export function ownerOfTemporary(name: string): Owner | undefined {
  return TEMPORARY.exec(name)?.[1];
}

/**
 * Whether work is under way: `alive`, `dead` (its process ended, or the machine was started anew), or `elsewhere` where this
 * process cannot tell: on another machine, or in another container.
 */
export type OwnerState = 'alive' | 'dead' | 'elsewhere';

/** Work of this thread that is under way. Of all copies of the SDK that are loaded, so that they know each other's. */
const underWay: Set<Owner> = ((globalThis as { [key: symbol]: unknown })[Symbol.for('onnx-lora.owners')] ??=
  new Set()) as Set<Owner>;

/** Processes are told by their number only among those of one machine and one namespace of processes. */
const machine = digest(hostname(), textOf(() => readlinkSync('/proc/self/ns/pid')), textOf(() => readFileSync('/etc/machine-id', 'utf8'))); // prettier-ignore
const boot = digest(textOf(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8')));
const own = [machine, boot, process.pid.toString(36), startOf(process.pid) ?? '0', threadId.toString(36)];

/** A name for work that begins now; {@link endWork} says when it is over. */
export function beginWork(): Owner {
  const owner = [...own, randomBytes(4).toString('hex')].join('-');
  underWay.add(owner);
  return owner;
}

/** The work is over, whatever it has left. */
export function endWork(owner: Owner): void {
  underWay.delete(owner);
}

/** Whether the work of this name is under way. */
export function stateOf(owner: Owner): OwnerState {
  const [onMachine, atBoot, pid = '', start, thread] = owner.split('-');
  if (onMachine !== machine) return 'elsewhere';
  if (atBoot !== boot) return 'dead';
  const started = startOf(parseInt(pid, 36));
  if (started !== start) return 'dead';
  const isThisThread = pid === own[2] && thread === own[4];
  return isThisThread && !underWay.has(owner) ? 'dead' : 'alive';
}

/** When a process began, in the system's ticks; `0` where the system does not tell; undefined where there is none. */
function startOf(pid: number): string | undefined {
  if (existsSync('/proc/self/stat')) {
    // The command in parentheses may hold anything.
    const fields = textOf(() => readFileSync(`/proc/${pid}/stat`, 'latin1')).replace(/^.*\) /s, '').split(' '); // prettier-ignore
    const [state = ''] = fields;
    // One that has ended, and whose parent has not asked yet, writes no more.
    return fields.length < 20 || 'ZX'.includes(state) ? undefined : Number(fields[19]).toString(36);
  }
  try {
    process.kill(pid, 0);
    return '0';
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === 'EPERM' ? '0' : undefined;
  }
}

/** What the system tells, and nothing where it does not. */
function textOf(read: () => string): string {
  try {
    return read();
  } catch {
    return '';
  }
}

function digest(...parts: readonly string[]): string {
  return createHash('sha256').update(parts.join('\0')).digest('hex').slice(0, 8);
}
