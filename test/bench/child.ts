/** @file What child processes do: time all cases in turn, or hold one case for its peak memory. */

import { openModel } from '@onnx-lora/sdk';
import { readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { benchCases, type CaseName, caseNames, type LoadedCase } from './cases.ts';
import type { BenchSettings } from './settings.ts';

/** The order that a child gets as JSON. */
export interface ChildOrder {
  readonly settings: BenchSettings;
  readonly model: string;
  /** Only this case, for its memory; all cases, for their times, without one. `idle` opens the model and runs nothing. */
  readonly peak?: CaseName | 'idle';
}

/** What a child prints as JSON. */
export type ChildResult = { readonly times: Record<CaseName, number[]> } | { readonly peakMb: number };

/** Does what the order says, in this process. */
export async function childWork({ settings, model, peak }: ChildOrder): Promise<ChildResult> {
  return peak === undefined
    ? { times: await timeAll(model, settings) }
    : { peakMb: await peakOf(peak, model, settings) };
}

/** Milliseconds of each case, round by round: each round runs every case once, so that a slow spell hits all alike. */
async function timeAll(file: string, settings: BenchSettings): Promise<Record<CaseName, number[]>> {
  const model = await openModel(file);
  const cases: { readonly times: number[]; readonly name: CaseName; readonly loaded: LoadedCase }[] = [];
  for (const name of caseNames) cases.push({ name, times: [], loaded: await benchCases[name].load(model, settings) });
  for (let round = -settings.warmUps; round < settings.rounds; round++) {
    for (const { times, loaded } of cases) {
      // Threads of the session before spin for a moment before they sleep.
      await setTimeout(20);
      const start = performance.now();
      await loaded.run();
      if (round >= 0) times.push(performance.now() - start);
    }
  }
  for (const { loaded } of cases) await loaded.release();
  return Object.fromEntries(cases.map(({ name, times }) => [name, times])) as Record<CaseName, number[]>;
}

/** Memory grows until the third run; none is timed. */
const RUNS_FOR_PEAK = 4;

async function peakOf(peak: CaseName | 'idle', file: string, settings: BenchSettings): Promise<number> {
  const model = await openModel(file);
  if (peak !== 'idle') {
    const loaded = await benchCases[peak].load(model, settings);
    for (let run = 0; run < RUNS_FOR_PEAK; run++) await loaded.run();
    await loaded.release();
  }
  return peakMegabytes();
}

function peakMegabytes(): number {
  // On Linux maxRSS starts at the size of the process that started this one; VmHWM does not.
  const status = process.platform === 'linux' ? readFileSync('/proc/self/status', 'utf8') : '';
  const kilobytes = /^VmHWM:\s*(\d+) kB$/m.exec(status)?.[1] ?? process.resourceUsage().maxRSS;
  return Number(kilobytes) / 1024;
}
