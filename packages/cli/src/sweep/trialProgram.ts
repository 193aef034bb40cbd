/** @file The program of a trial: one training run in a process of its own, told what to do by the sweep, and telling it how it goes. */

import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { commandScope, Context } from '../context.ts';
import type { AskedPlugin } from '../plugins/loadNamed.ts';
import { allOwnPlugins } from '../plugins/own.ts';
import { RunFolder } from '../run/runFolder.ts';
import { runTraining, type TrainSummary } from '../run/trainRun.ts';
import type { Settings } from '../settings/setting.ts';

/** What a trial is told. */
export interface TrialJob {
  /** With `out`, the folder of its run. What is there is gone on with. */
  readonly settings: Settings & { readonly out: string };
  /** Where it stops before its end, as the SDK's option. */
  readonly stopAfter?: number | undefined;
  readonly plugins: readonly AskedPlugin[];
}

/** What a trial tells. */
export type TrialMessage =
  | { readonly type: 'alive'; readonly memory: number }
  | { readonly type: 'step'; readonly step: number; readonly steps: number; readonly loss: number }
  | {
      readonly type: 'ended';
      readonly summary: TrainSummary;
      /** The most bytes of memory that the process held. */
      readonly memory: number;
      /** Bytes of the adapter's numbers. */
      readonly bytes: number;
      /** Of the examples that are trained on; absent where a task does not say what they are. */
      readonly trainedOn?: string;
    }
  | { readonly type: 'failed'; readonly code: string; readonly message: string };

/** How long the process of a sweep that was killed may take to end. */
const LAST_STEP = 120_000;
/** What goes on is told so often, in milliseconds. */
const OFTEN = 200;

function tell(message: TrialMessage): void {
  if (process.connected) process.send!(message);
}

/** Resolves once the sweep has it: what is on its way when a process ends may be lost. */
function told(message: TrialMessage): Promise<void> {
  return new Promise((resolve) => {
    if (process.connected) process.send!(message, undefined, {}, () => resolve());
    else resolve();
  });
}

/** As a run does when it is asked to end: after its step, with all saved. */
function end(): void {
  process.kill(process.pid, 'SIGTERM');
}

async function work({ settings, stopAfter, plugins }: TrialJob): Promise<void> {
  const silent = { write: () => undefined };
  const alive = setInterval(() => tell({ type: 'alive', memory: process.memoryUsage.rss() }), 1000).unref();
  let last = -Infinity;
  try {
    await using command = commandScope({ stdout: silent, stderr: silent });
    await using context = await Context.of(command);
    await context.load(plugins, await allOwnPlugins());
    const folder = new RunFolder(settings.out);
    await folder.untaken(LAST_STEP);
    const { summary } = await runTraining(
      settings,
      {
        // A folder without settings is of a run that had not begun.
        overwrite: true,
        resume: existsSync(folder.config),
        quiet: true,
        stopAfter,
        onEvent: (event) => {
          if (event.type !== 'step' || performance.now() - last < OFTEN) return;
          last = performance.now();
          tell({ type: 'step', step: event.step, steps: event.steps, loss: event.loss });
        },
      },
      context,
    );
    // Ended by a signal: what there is goes on another time.
    if (summary.stopped) return;
    const examples = path.join(folder.path, 'trained-on.txt');
    await told({
      type: 'ended',
      summary,
      memory: process.resourceUsage().maxRSS * 1024,
      bytes: statSync(path.join(folder.adapter, 'adapter_model.safetensors')).size,
      ...(existsSync(examples)
        ? { trainedOn: createHash('sha256').update(readFileSync(examples)).digest('hex').slice(0, 16) }
        : {}),
    });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    await told({ type: 'failed', code: error instanceof OnnxLoraError ? error.code : 'INTERNAL', message });
  } finally {
    clearInterval(alive);
    process.off('disconnect', end);
    if (process.connected) process.disconnect();
  }
}

// The sweep lets go of a trial that is to end, and a sweep that dies lets go of all.
process.on('disconnect', end);
process.once('message', (job) => void work(job as TrialJob));
