/** @file Both sides of the comparison of training steps, in turn, and its table. */

import type { PrecisionName, Provider } from '@onnx-lora/sdk';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gpuNames } from './gpu.ts';
import { providerOf } from './settings.ts';
import { lastJson, runChild, SMALL_HEAP } from './spawn.ts';
import { median } from './statistics.ts';
import { isCheckpoint, type TrainingCase, type TrainingFigures } from './training.ts';

/** A case on both sides. */
export interface TrainingComparison extends TrainingCase {
  readonly onnxLora: TrainingFigures;
  /** Seconds from the start of a process to the end of its first step: with nothing prepared, and with all of it. */
  readonly firstStep: { readonly fresh: number; readonly prepared: number };
  /** Absent where torch cannot compute on what the provider does. */
  readonly peft?: TrainingFigures;
  /** Precision of PEFT's base. */
  readonly besideIn: BesidePrecision;
  readonly precision: PrecisionName;
  /** Median step here in parts of PEFT's; of the last quarter of layers, of PEFT's step on all of them. */
  readonly time?: number;
  /** Likewise of the peak memory, on a GPU that of the GPU. */
  readonly memory?: number;
  /** Median step in parts of that in the first precision. */
  readonly ofFirst: number;
}

/** Precision of torch: `bfloat16` by autocast and `torch.compile`, its fastest on a CPU. */
type BesidePrecision = 'float32' | 'float16' | 'bfloat16';

/** Programs of both sides, and where they compute. */
export interface Sides {
  /** This benchmark's own program, for children. */
  readonly self: string;
  readonly python: string;
  /** The Python script that exports the models and trains them. */
  readonly script: string;
  /** Where graphs run here. */
  readonly provider: Provider;
  /** Reason to leave torch out; it then only exports the models. */
  readonly notBeside?: string | undefined;
  /** Whether the processor computes in bfloat16, so that torch is timed with it as well. */
  readonly hasBfloat16?: boolean;
}

/** Measured cases and precisions. */
export interface TrainingChoice {
  readonly cases: readonly TrainingCase[];
  /** Precisions of the base. PEFT computes in float32, on a GPU in float16 as well. */
  readonly precisions: readonly PrecisionName[];
  /** How often each side has its turn; three by default. The first turn finds nothing prepared by an earlier one. */
  readonly turns?: number;
}

/** How often each side has its turn, and how many steps of a turn count. */
const TURNS = 3;
const STEPS = 3;

/**
 * Measures training steps. Each turn is a process of its own.
 *
 * @param report called with each line of the table, as docs/performance.md has them
 */
export async function compareTraining(
  { self, python, script, provider, notBeside, hasBfloat16 = false }: Sides,
  { cases, precisions, turns: wantedTurns = TURNS }: TrainingChoice,
  report: (line: string) => void,
): Promise<TrainingComparison[]> {
  const folder = await mkdtemp(path.join(tmpdir(), 'onnx-lora-bench-'));
  const found: TrainingComparison[] = [];
  const isGpu = provider !== 'cpu';
  /** Precisions of torch to compare with ours. */
  const besideOf = (precision: PrecisionName): readonly BesidePrecision[] => {
    if (isGpu) return [precision === 'float16' ? 'float16' : 'float32'];
    return hasBfloat16 ? ['float32', 'bfloat16'] : ['float32'];
  };
  try {
    if (isGpu) report(`On ${provider}; ${(await gpuNames()) ?? 'nvidia-smi tells of no GPU'}.`);
    if (notBeside !== undefined) report(`PEFT is left out: ${notBeside}.`);
    for (const line of tableHead(isGpu)) report(line);
    for (const each of cases) {
      const own = each.precisions ?? precisions;
      const file = path.join(folder, isCheckpoint(each.model) ? each.model : `${each.model}.onnx`);
      if (!found.some(({ model }) => model === each.model))
        await lastJson(python, [script, 'export', each.model, file]);
      const ours = new Map(own.map((precision) => [precision, [] as TrainingFigures[]]));
      const theirs = new Map([...new Set(own.flatMap(besideOf))].map((precision) => [precision, [] as TrainingFigures[]])); // prettier-ignore
      for (let turn = 0; turn < wantedTurns; turn++) {
        for (const [precision, figures] of ours) {
          const order = {
            train: { ...each, precision, provider: providerOf(precision, provider) },
            model: file,
            steps: STEPS,
          };
          figures.push((await runChild(self, order, SMALL_HEAP, { XDG_CACHE_HOME: folder })) as TrainingFigures);
        }
        const wanted = each.targets === 'all' ? 'all' : 'q,v';
        for (const [precision, figures] of notBeside === undefined ? theirs : []) {
          const order = [script, 'step', each.model, wanted, String(STEPS), isGpu ? 'cuda' : 'cpu', precision];
          figures.push((await lastJson(python, order)) as TrainingFigures);
        }
      }
      const first = median([...joined(ours.get(own[0]!)!).stepMs]);
      for (const [precision, figures] of ours) {
        const [fresh = NaN, ...prepared] = figures.map(({ firstMs }) => firstMs / 1e3);
        const firstStep = { fresh, prepared: Math.min(...prepared, fresh) };
        const onnxLora = joined(figures);
        const step = median([...onnxLora.stepMs]);
        for (const besideIn of besideOf(precision)) {
          const turns = theirs.get(besideIn)!;
          const peft = turns.length === 0 ? undefined : joined(turns);
          const beside = peft && {
            peft,
            time: step / median([...peft.stepMs]),
            memory: isGpu ? onnxLora.gpuMb! / peft.gpuMb! : onnxLora.peakMb / peft.peakMb,
          };
          found.push({ ...each, precision, provider, onnxLora, firstStep, besideIn, ...beside, ofFirst: step / first });
          report(tableLine(found.at(-1)!, isGpu));
        }
      }
    }
    return found;
  } finally {
    await rm(folder, { recursive: true });
  }
}

function joined(turns: readonly TrainingFigures[]): TrainingFigures {
  const onGpu = turns.flatMap(({ gpuMb }) => (gpuMb === undefined ? [] : [gpuMb]));
  return {
    stepMs: turns.flatMap(({ stepMs }) => stepMs),
    firstMs: Math.min(...turns.map(({ firstMs }) => firstMs)),
    peakMb: Math.max(...turns.map(({ peakMb }) => peakMb)),
    ...(onGpu.length > 0 && { gpuMb: Math.max(...onGpu) }),
  };
}

const widths = [15, 7, 13, 8, 9, 8, 8, 6, 7, 8, 6, 8, 8];
/** Columns of words; the others are of numbers. */
const WORDS = 3;

function row(cells: readonly string[]): string {
  return `| ${cells.map((cell, i) => (i < WORDS ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join(' | ')} |`;
}

function tableHead(isGpu: boolean): string[] {
  const mb = isGpu ? 'GPU MB' : 'MB';
  const titles = [
    'model',
    'adapted',
    'precision',
    'step, ms',
    '÷ first',
    'PEFT in',
    'PEFT, ms',
    '÷ PEFT',
    mb,
    'PEFT, MB',
    '÷ PEFT',
    'first, s',
    'again, s',
  ];
  const line = widths.map((width, i) => (i < WORDS ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  return [row(titles), row(line)];
}

function tableLine(
  { model, targets, precision, onnxLora, firstStep, besideIn, peft, time, memory, ofFirst }: TrainingComparison,
  isGpu: boolean,
): string {
  const whole = (value?: number): string => (value === undefined ? '–' : Math.round(value).toLocaleString('en'));
  const part = (value?: number): string => (value === undefined || Number.isNaN(value) ? '–' : value.toFixed(2));
  const megabytes = (figures?: TrainingFigures): string => whole(isGpu ? figures?.gpuMb : figures?.peakMb);
  return row([
    model,
    targets,
    precision,
    whole(median([...onnxLora.stepMs])),
    part(ofFirst),
    peft ? besideIn : '–',
    whole(peft && median([...peft.stepMs])),
    part(time),
    megabytes(onnxLora),
    megabytes(peft),
    part(memory),
    firstStep.fresh.toFixed(1),
    firstStep.prepared.toFixed(1),
  ]);
}
