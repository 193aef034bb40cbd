/** @file What a run found: the document that is written as JSON, and the table that is printed. */

import { benchCases, type CaseName, caseNames } from './cases.ts';
import { type PeftCase, peftCases } from './peft.ts';
import type { BenchSettings } from './settings.ts';
import { median, pairedRatio } from './statistics.ts';

/** One case's figures. */
export interface CaseFigures {
  readonly medianMs: number;
  readonly minMs: number;
  /** Every time that counts, in order. */
  readonly timesMs: readonly number[];
  /** Largest resident memory of a process that does nothing else. */
  readonly peakMb: number;
}

/** Quotients of cases; each is the median over rounds. */
export interface Ratios {
  readonly loraToBase: number;
  readonly stepToBase: number;
  readonly allLinearStepToBase: number;
}

/** What `--out` writes. */
export interface BenchReport {
  readonly machine: {
    readonly cpu: string;
    readonly cores: number;
    readonly memoryMb: number;
    readonly platform: string;
    readonly node: string;
    readonly onnxruntime: string;
  };
  readonly settings: BenchSettings;
  readonly onnxLora: {
    readonly cases: Readonly<Record<CaseName, CaseFigures>>;
    readonly ratios: Ratios & { readonly mixedToSingle: number };
    /** What choosing another adapter adds to a run: the median over rounds, which noise can bring below zero. */
    readonly swapMs: number;
    /** Peak memory of a process that has opened the model and runs nothing. */
    readonly idlePeakMb: number;
  };
  /** PEFT on torch, or why it was left out; absent when it was not asked for. */
  readonly peft?:
    | {
        readonly versions: Readonly<Record<string, string>>;
        readonly cases: Readonly<Record<PeftCase, CaseFigures>>;
        readonly ratios: Ratios;
      }
    | { readonly skipped: string };
}

/** Times and peak of one case together. */
export function figures(timesMs: readonly number[], peakMb: number): CaseFigures {
  return { medianMs: median(timesMs), minMs: Math.min(...timesMs), timesMs, peakMb };
}

/** The ratios that both sides have. */
export function ratiosOf(cases: Readonly<Record<PeftCase, CaseFigures>>): Ratios {
  const against = (name: PeftCase): number => pairedRatio(cases[name].timesMs, cases.base.timesMs);
  return {
    loraToBase: against('lora'),
    stepToBase: against('step'),
    allLinearStepToBase: against('allLinearStep'),
  };
}

/** The report as lines of a table. */
export function reportLines({ settings, onnxLora, peft }: BenchReport): string[] {
  const { hidden, layers, patch, image, batch, r, provider, threads, rounds } = settings;
  const lines = [
    `ViT ${hidden} wide, ${layers} layers, patches of ${patch} in ${image} × ${image} pixels; batch ${batch}, r ${r}, ${provider}, ${threads} threads, ${rounds} rounds`,
    '',
    row('onnx-lora', 'median ms', 'min ms', '÷ base', 'peak MB'),
  ];
  const { cases, ratios } = onnxLora;
  for (const name of caseNames) lines.push(caseRow(name, cases[name], cases.base));
  lines.push(
    '',
    `Another adapter for the next run: ${onnxLora.swapMs.toFixed(2)} ms. Another for each row: ${ratios.mixedToSingle.toFixed(3)} × one adapter.`,
    `A process that has opened the model and runs nothing: ${onnxLora.idlePeakMb.toFixed(0)} MB.`,
  );
  if (!peft) return lines;
  if ('skipped' in peft) return [...lines, '', `PEFT is left out: ${peft.skipped}`];
  lines.push('', row('PEFT on torch', 'median ms', 'min ms', '÷ base', 'peak MB'));
  for (const name of peftCases) lines.push(caseRow(name, peft.cases[name], peft.cases.base));
  const versions = Object.entries(peft.versions).map(([name, version]) => `${name} ${version}`);
  return [...lines, '', versions.join(', ')];
}

function caseRow(name: CaseName, found: CaseFigures, base: CaseFigures): string {
  return row(
    benchCases[name].title,
    found.medianMs.toFixed(1),
    found.minMs.toFixed(1),
    pairedRatio(found.timesMs, base.timesMs).toFixed(2),
    found.peakMb.toFixed(0),
  );
}

const FIRST_COLUMN = Math.max(...caseNames.map((name) => benchCases[name].title.length));

function row(first: string, ...columns: readonly string[]): string {
  return first.padEnd(FIRST_COLUMN) + columns.map((column) => column.padStart(11)).join('');
}
