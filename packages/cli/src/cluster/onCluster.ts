/** @file Runs a command as a job of a Ray cluster, and follows it in this terminal. */

import { stripVTControlCharacters } from 'node:util';
import { OnnxLoraError } from '@onnx-lora/sdk';
import type { RayJob, RayJobs } from '@onnx-lora/cluster';
import { Option } from 'commander';
import type { Context } from '../context.ts';
import type { Flags } from '../options.ts';
import { exitCodes, usageError } from '../terminal/errors.ts';
import { Interrupt } from '../terminal/interrupt.ts';
import { Progress } from '../terminal/progress.ts';
import { printable } from '../terminal/terminal.ts';

export interface ClusterFlags extends Flags {
  /** Address of the cluster. */
  readonly on?: string;
  /** Id of a job to follow. */
  readonly attach?: string;
  /** The working folder, as the cluster's nodes name it. */
  readonly sharedFolder?: string;
  /** Processes of one training. */
  readonly workers?: string;
}

/** Flags of a command that can run on a cluster. */
export const clusterFlags = (): readonly Option[] => [
  new Option('--on <address>', 'run on a Ray cluster: ray://HOST:PORT, with the port of its dashboard'),
  new Option('--attach <job>', 'follow a job of --on again that was left by Ctrl-C'),
  new Option('--shared-folder <path>', 'with --on: path of the current folder on the nodes (default: the same path)'),
];

/** Flags for this side alone, each with a value. */
const here: ReadonlySet<string> = new Set(['--on', '--attach', '--shared-folder', '--workers']);

/** Whether the call is for a cluster. @throws OnnxLoraError `CONFIG_INVALID` for flags that need `--on` */
export function isForCluster({ on, attach, sharedFolder, workers }: ClusterFlags): boolean {
  if (on !== undefined) return true;
  if (workers !== undefined) throw usageError('--workers needs --on, with the address of the cluster.');
  if (attach === undefined && sharedFolder === undefined) return false;
  throw usageError(
    `--${attach === undefined ? 'shared-folder' : 'attach'} needs --on, with the address of the cluster.`,
  );
}

/** The cluster of `--on`. @throws OnnxLoraError `CONFIG_INVALID` for another address */
export async function clusterOf(on: string): Promise<RayJobs> {
  const { RayJobs } = await import('@onnx-lora/cluster');
  return new RayJobs(on);
}

/**
 * Submits the call as a job, or attaches to one, and follows it to its end or to Ctrl-C.
 * @param driver words for the driver, before those of the command
 * @throws OnnxLoraError as `RayJobs`
 */
export async function runOnCluster(
  context: Context,
  flags: ClusterFlags,
  driver: readonly string[] = [],
): Promise<void> {
  const jobs = await clusterOf(flags.on!);
  const progress = new Progress(context.terminal, flags);
  const [command = ''] = context.argv;
  let id = flags.attach;
  if (id === undefined) {
    const entrypoint = entrypointOf([...driver, ...ownWords(context.argv)], flags.sharedFolder ?? context.folder);
    id = await jobs.submit({ entrypoint, metadata: { onnx_lora: command } });
    progress.note(`job ${id} on ${jobs.url.host}; Ctrl-C leaves it running`);
  }
  await followJob(context, jobs, id, flags, `onnx-lora ${command} --on ${flags.on!} --attach ${id}`);
}

/** Follows a job, and exits as it did. @param again the command that comes back */
export async function followJob(
  { terminal, exitWith }: Context,
  jobs: RayJobs,
  id: string,
  flags: Flags,
  again: string,
): Promise<void> {
  const progress = new Progress(terminal, flags);
  const leaving = new AbortController();
  const interrupt = new Interrupt(() => leaving.abort());
  let last = '';
  const tell = (line: string): void => {
    const text = printable(stripVTControlCharacters(line).replaceAll('\t', ' '));
    if (text.trim() !== '') last = text;
    // The result is one line of JSON; a job's log has what it writes on stderr too.
    if (!flags.json || text.startsWith('{')) terminal.print(text);
    else progress.note(text);
  };
  let job: RayJob;
  try {
    job = await jobs.follow(id, tell, leaving.signal);
  } finally {
    interrupt.release();
  }
  if (interrupt.code !== undefined) {
    progress.note(`The job goes on. To come back: ${again}`);
    progress.note(`To end it: onnx-lora jobs --on ${jobs.url.origin} --stop ${id}`);
    exitWith(interrupt.code);
    return;
  }
  if (job.status === 'STOPPED') progress.note(`The job ${id} was stopped.`);
  if (job.status === 'FAILED') requireSetUp(job, last, jobs.url.host);
  exitWith(
    job.status === 'SUCCEEDED' ? exitCodes.done : job.status === 'STOPPED' ? exitCodes.terminated : job.exitCode!,
  );
}

/** @throws OnnxLoraError `RUNTIME_FAILED` where the job failed before our command could say why */
function requireSetUp({ id, exitCode, message }: RayJob, last: string, host: string): void {
  const isMissing = exitCode === 127 || last.includes('No module named');
  if (!isMissing && exitCode !== undefined && exitCode > 0) return;
  throw new OnnxLoraError(
    'RUNTIME_FAILED',
    isMissing
      ? `The job ${id} cannot begin on ${host}: ${last} Every node needs the command onnx-lora and the Python package onnx-lora-cluster (packages/cluster/python), and the folder under the same path, or that of --shared-folder.`
      : `The job ${id} on ${host} has failed: ${message.trim() || `exit code ${exitCode}`}`,
  );
}

/** The words of a call without the flags for this side. */
function ownWords(argv: readonly string[]): string[] {
  const words: string[] = [];
  for (let i = 0; i < argv.length; i++) {
    const [flag = ''] = argv[i]!.split('=', 1);
    if (!here.has(flag)) words.push(argv[i]!);
    else if (!argv[i]!.includes('=')) i++;
  }
  return words;
}

/** The job's line of shell: the same words, in the folder that all share. */
function entrypointOf(words: readonly string[], folder: string): string {
  return `cd ${shellWord(folder)} && exec python3 -m onnx_lora_cluster ${words.map(shellWord).join(' ')}`;
}

function shellWord(text: string): string {
  return /^[\w./:=@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
