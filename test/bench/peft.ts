/** @file The same work in PEFT on torch, where a Python with both is there. */

import type { CaseName } from './cases.ts';
import type { BenchSettings } from './settings.ts';
import { lastJson } from './spawn.ts';

/** A case that PEFT is timed at: it has no adapter per row in a plain forward pass, and swaps by changing the model. */
export type PeftCase = Extract<CaseName, 'base' | 'lora' | 'step' | 'allLinearStep'>;

/** Names of those cases, in the order of the report. */
export const peftCases: readonly PeftCase[] = ['base', 'lora', 'step', 'allLinearStep'];

/** A Python that can run the comparison. */
export interface PeftPython {
  readonly python: string;
  readonly script: string;
  /** Versions by package; `gpu` is the name of one that torch sees, `bfloat16` is there where the processor computes in it. */
  readonly versions: Readonly<Record<string, string>>;
}

/** Why PEFT cannot do the same work as a provider; undefined where it can. */
export function whyNotBeside(provider: string, { versions }: PeftPython): string | undefined {
  return provider === 'cpu' || versions['gpu'] !== undefined ? undefined : `torch ${versions['torch']} sees no GPU`;
}

/** Looks for torch, transformers and PEFT; a reason as text where one is missing. */
export async function findPeft(python: string, script: string): Promise<PeftPython | string> {
  try {
    const versions = (await lastJson(python, [script, 'versions'])) as Record<string, string>;
    return { python, script, versions };
  } catch (error) {
    const { stderr, message } = error as { stderr?: string; message: string };
    return (stderr?.trim() || message).split('\n').at(-1)!;
  }
}

/** Milliseconds of each case, round by round. */
export async function peftTimes(peft: PeftPython, settings: BenchSettings): Promise<Record<PeftCase, number[]>> {
  return (await lastJson(peft.python, [peft.script, 'times', JSON.stringify(settings)])) as Record<PeftCase, number[]>;
}

/** Peak memory of a process that does nothing but one case. */
export async function peftPeak(peft: PeftPython, settings: BenchSettings, name: PeftCase): Promise<number> {
  const { peakMb } = (await lastJson(peft.python, [peft.script, 'peak', JSON.stringify(settings), name])) as {
    peakMb: number;
  };
  return peakMb;
}
