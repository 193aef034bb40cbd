/** @file `onnx-lora jobs`: the jobs of a cluster. */

import { type Command, Option } from 'commander';
import { type ClusterFlags, clusterOf, followJob } from '../cluster/onCluster.ts';
import type { Context } from '../context.ts';
import { commandOf } from '../options.ts';
import { requireFlag } from '../sources.ts';
import { formatTable } from '../terminal/table.ts';

interface JobsFlags extends ClusterFlags {
  readonly stop?: string;
}

/** Makes the command. */
export function jobsCommand(context: Context): Command {
  return commandOf({
    name: 'jobs',
    description:
      'Lists the jobs of a Ray cluster, follows one, or stops one. A command with --on is such a job, which goes on when its terminal is closed. A stopped sweep keeps what it has; the same command continues it.',
    flags: [
      new Option('--on <address>', 'the cluster: ray://HOST:PORT, with the port of its dashboard'),
      new Option('--attach <job>', 'print what this job prints, to its end').conflicts('stop'),
      new Option('--stop <job>', 'end this job'),
      'output',
    ],
    examples: [
      'onnx-lora jobs --on ray://cluster.lab:8265',
      'onnx-lora jobs --on ray://cluster.lab:8265 --attach raysubmit_4fDDfhV1cHBJ1qTS',
      'onnx-lora jobs --on ray://cluster.lab:8265 --stop raysubmit_4fDDfhV1cHBJ1qTS',
    ],
  }).action(async (flags: JobsFlags) => {
    const on = requireFlag(flags.on, 'on', 'name the cluster, such as ray://HOST:8265');
    const jobs = await clusterOf(on);
    if (flags.attach !== undefined) {
      await followJob(context, jobs, flags.attach, flags, `onnx-lora jobs --on ${on} --attach ${flags.attach}`);
      return;
    }
    if (flags.stop !== undefined) {
      await jobs.stop(flags.stop);
      context.terminal.result(flags, { stopped: flags.stop }, () => [`${flags.stop} is asked to stop.`]);
      return;
    }
    const all = await jobs.list();
    context.terminal.result(flags, { jobs: all }, () =>
      all.length === 0
        ? ['No jobs.']
        : formatTable([
            ['job', 'state', 'command'],
            ...all.map(({ id, status, entrypoint }) => [id, status, entrypoint]),
          ]),
    );
  });
}
