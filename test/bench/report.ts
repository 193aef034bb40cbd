/** @file Results of a run: the JSON document, and the printed table. */

import { benchCases, type CaseName, caseNames } from './cases.ts';
import type { LargeModel, OpeningFigures } from './largeModel.ts';
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

/** Quotients of cases that serve adapters; each is the median over rounds. */
export interface ServingRatios {
  readonly allLinearToBase: number;
  /** Time of a batch with another adapter in each row, relative to one adapter for all rows. */
  readonly mixedToSingle: number;
  readonly newlyMixedToSingle: number;
  readonly mixedToSingleAllLinear: number;
}

/** Document written by `--out`. */
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
    readonly ratios: Ratios & ServingRatios;
    /** Time that another adapter adds to a run: the median over rounds; noise can bring it below zero. */
    readonly swapMs: number;
    /** Milliseconds to bring a new adapter into a session. */
    readonly addMs: number;
    /** Peak memory of a process that has opened the model and runs nothing. */
    readonly idlePeakMb: number;
    /** Large models, opened in a process of their own. */
    readonly opening: readonly (LargeModel & OpeningFigures)[];
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

/** The ratios of serving. */
export function servingRatiosOf({
  base,
  lora,
  mixed,
  newlyMixed,
  allLinear,
  mixedAllLinear,
}: Readonly<Record<CaseName, CaseFigures>>): ServingRatios {
  return {
    allLinearToBase: pairedRatio(allLinear.timesMs, base.timesMs),
    mixedToSingle: pairedRatio(mixed.timesMs, lora.timesMs),
    newlyMixedToSingle: pairedRatio(newlyMixed.timesMs, lora.timesMs),
    mixedToSingleAllLinear: pairedRatio(mixedAllLinear.timesMs, allLinear.timesMs),
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
    `Another adapter than the run before: ${onnxLora.swapMs.toFixed(2)} ms. A new one for the session: ${onnxLora.addMs.toFixed(1)} ms.`,
    `A batch with another adapter in each row: ${ratios.mixedToSingle.toFixed(3)} × one with a single adapter (${ratios.newlyMixedToSingle.toFixed(3)} × for adapters not met before, ${ratios.mixedToSingleAllLinear.toFixed(3)} × on all linear layers).`,
    `A process that has opened the model and runs nothing: ${onnxLora.idlePeakMb.toFixed(0)} MB.`,
    ...onnxLora.opening.map(
      ({ bytes, weights, nodes, modules, ms, grownMb }) =>
        `A model of ${(bytes / 1e9).toFixed(1)} GB (${weights}) and ${nodes} nodes: opened, and its ${modules} modules listed, in ${ms.toFixed(0)} ms and ${grownMb.toFixed(0)} MB.`,
    ),
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
