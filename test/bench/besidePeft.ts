/** @file Both sides of the comparison of training steps, in turn, and its table. */

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
  /** Median step here in parts of PEFT's; of the last quarter of layers, of PEFT's step on all of them. */
  readonly time: number;
  /** Likewise of the peak memory. */
  readonly memory: number;
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
 * @param report called with each case that is done
 */
export async function compareTraining(
  { self, python, script }: Sides,
  only: RegExp,
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
      const ours: TrainingFigures[] = [];
      const theirs: TrainingFigures[] = [];
      for (let turn = 0; turn < TURNS; turn++) {
        ours.push((await runChild(self, { train: each, model: file, steps: STEPS })) as TrainingFigures);
        const wanted = each.targets === 'all' ? 'all' : 'q,v';
        theirs.push((await lastJson(python, [script, 'step', each.model, wanted, String(STEPS)])) as TrainingFigures);
      }
      const [onnxLora, peft] = [joined(ours), joined(theirs)];
      const time = median([...onnxLora.stepMs]) / median([...peft.stepMs]);
      found.push({ ...each, onnxLora, peft, time, memory: onnxLora.peakMb / peft.peakMb });
      report(tableLine(found.at(-1)!));
    }
    return found;
  } finally {
    await rm(folder, { recursive: true });
  }
}

function joined(turns: readonly TrainingFigures[]): TrainingFigures {
  return { stepMs: turns.flatMap(({ stepMs }) => stepMs), peakMb: Math.max(...turns.map(({ peakMb }) => peakMb)) };
}

const widths = [14, 8, 12, 12, 8, 10, 10, 8];

function row(cells: readonly string[]): string {
  return cells.map((cell, i) => (i < 2 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join(' ');
}

const tableHead = row(['training step', 'adapted', 'ms', 'PEFT ms', '÷ PEFT', 'MB', 'PEFT MB', '÷ PEFT']);

function tableLine({ model, targets, onnxLora, peft, time, memory }: TrainingComparison): string {
  const whole = (value: number): string => Math.round(value).toLocaleString('en');
  return row([
    model,
    targets,
    whole(median([...onnxLora.stepMs])),
    whole(median([...peft.stepMs])),
    time.toFixed(2),
    whole(onnxLora.peakMb),
    whole(peft.peakMb),
    memory.toFixed(2),
  ]);
}
