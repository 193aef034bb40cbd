/** @file Both sides of the comparison of training steps, in turn, and its table. */

import type { PrecisionName } from '@onnx-lora/sdk';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { lastJson, runChild } from './spawn.ts';
import { median } from './statistics.ts';
import { type TrainingCase, trainingCases, type TrainingFigures } from './training.ts';

/** A case on both sides. */
export interface TrainingComparison extends TrainingCase {
  readonly onnxLora: TrainingFigures;
  readonly peft: TrainingFigures;
  readonly precision: PrecisionName;
  /** Median step here in parts of PEFT's; of the last quarter of layers, of PEFT's step on all of them. */
  readonly time: number;
  /** Likewise of the peak memory. */
  readonly memory: number;
  /** Median step in parts of that in the first precision. */
  readonly ofFirst: number;
}

/** Programs of both sides. */
export interface Sides {
  /** This benchmark's own program, for children. */
  readonly self: string;
  readonly python: string;
  /** The Python script that exports the models and trains them. */
  readonly script: string;
}

/** How often each side has its turn, and how many steps of a turn count. */
const TURNS = 2;
const STEPS = 2;

/**
 * Measures every case whose name matches `only`. Each turn is a process of its own.
 *
 * @param precisions in which the base computes, each beside the same steps of PEFT
 * @param report called with each case that is done
 */
export async function compareTraining(
  { self, python, script }: Sides,
  only: RegExp,
  precisions: readonly PrecisionName[],
  report: (line: string) => void,
): Promise<TrainingComparison[]> {
  const folder = await mkdtemp(path.join(tmpdir(), 'onnx-lora-bench-'));
  const found: TrainingComparison[] = [];
  try {
    report(tableHead);
    for (const each of trainingCases.filter(({ model, targets }) => only.test(`${model} ${targets}`))) {
      const file = path.join(folder, `${each.model}.onnx`);
      if (!found.some(({ model }) => model === each.model))
        await lastJson(python, [script, 'export', each.model, file]);
      const ours = new Map(precisions.map((precision) => [precision, [] as TrainingFigures[]]));
      const theirs: TrainingFigures[] = [];
      for (let turn = 0; turn < TURNS; turn++) {
        for (const [precision, figures] of ours) {
          const order = { train: { ...each, precision }, model: file, steps: STEPS };
          figures.push((await runChild(self, order)) as TrainingFigures);
        }
        const wanted = each.targets === 'all' ? 'all' : 'q,v';
        theirs.push((await lastJson(python, [script, 'step', each.model, wanted, String(STEPS)])) as TrainingFigures);
      }
      const peft = joined(theirs);
      const first = median([...joined(ours.get(precisions[0]!)!).stepMs]);
      for (const [precision, figures] of ours) {
        const onnxLora = joined(figures);
        const own = median([...onnxLora.stepMs]);
        const ratios = {
          time: own / median([...peft.stepMs]),
          memory: onnxLora.peakMb / peft.peakMb,
          ofFirst: own / first,
        };
        found.push({ ...each, precision, onnxLora, peft, ...ratios });
        report(tableLine(found.at(-1)!));
      }
    }
    return found;
  } finally {
    await rm(folder, { recursive: true });
  }
}

function joined(turns: readonly TrainingFigures[]): TrainingFigures {
  return { stepMs: turns.flatMap(({ stepMs }) => stepMs), peakMb: Math.max(...turns.map(({ peakMb }) => peakMb)) };
}

const widths = [14, 8, 14, 12, 8, 12, 8, 10, 10, 8];

function row(cells: readonly string[]): string {
  return cells.map((cell, i) => (i < 3 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join(' ');
}

const tableHead = row([
  'training step',
  'adapted',
  'precision',
  'ms',
  '÷ first',
  'PEFT ms',
  '÷ PEFT',
  'MB',
  'PEFT MB',
  '÷ PEFT',
]);

function tableLine({ model, targets, precision, onnxLora, peft, time, memory, ofFirst }: TrainingComparison): string {
  const whole = (value: number): string => Math.round(value).toLocaleString('en');
  return row([
    model,
    targets,
    precision,
    whole(median([...onnxLora.stepMs])),
    ofFirst.toFixed(2),
    whole(median([...peft.stepMs])),
    time.toFixed(2),
    whole(onnxLora.peakMb),
    whole(peft.peakMb),
    memory.toFixed(2),
  ]);
}
