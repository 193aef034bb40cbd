/** @file The child process of a trial: trains, and reports to the sweep. */

import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { commandScope, Context } from '../context.ts';
import type { RequestedPlugin } from '../plugins/loadNamed.ts';
import { allBuiltinPlugins } from '../plugins/own.ts';
import { RunFolder } from '../run/runFolder.ts';
import { runTraining, type TrainSummary } from '../run/trainRun.ts';
import type { Settings } from '../settings/setting.ts';

/** The sweep's message to a trial. */
export interface TrialJob {
  /** Settings; an existing run in `out` is resumed. */
  readonly settings: Settings & { readonly out: string };
  /** Where it pauses: the SDK's option. */
  readonly stopAfter?: number | undefined;
  readonly plugins: readonly RequestedPlugin[];
}

/** A trial's messages to the sweep. */
export type TrialMessage =
  | { readonly type: 'alive'; readonly memory: number }
  | { readonly type: 'step'; readonly step: number; readonly steps: number; readonly loss: number }
  | {
      readonly type: 'ended';
      readonly summary: TrainSummary;
      /** Peak bytes of memory. */
      readonly memory: number;
      /** Bytes of the adapter's weights file. */
      readonly bytes: number;
      /** Digest of the training examples; absent if unknown. */
      readonly trainedOn?: string;
    }
  | { readonly type: 'failed'; readonly code: string; readonly message: string };

/** Milliseconds that a killed sweep's trial may take to end, and the lock of a machine that is gone may count. */
const LAST_STEP = 330_000;
/** Milliseconds between step messages. */
const OFTEN = 200;

function tell(message: TrialMessage): void {
  if (process.connected) process.send!(message);
}

/** Resolves once the sweep has the message, which an exit could lose. */
function told(message: TrialMessage): Promise<void> {
  return new Promise((resolve) => {
    if (process.connected) process.send!(message, undefined, {}, () => resolve());
    else resolve();
  });
}

/** Saves and ends after the current step. */
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
    await context.load(plugins, await allBuiltinPlugins());
    const folder = new RunFolder(settings.out);
    await folder.untaken(LAST_STEP);
    const { summary } = await runTraining(
      settings,
      {
        // A folder without config has no run to resume.
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
    // Stopped by a signal: resumed another time.
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

// The sweep disconnects to stop a trial, and when it dies.
process.on('disconnect', end);
process.once('message', (job) => void work(job as TrialJob));
