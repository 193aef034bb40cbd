/** @file The progress of a run, and its form in checkpoints. */

import { z } from 'zod';
import { OnnxLoraError } from '../../../errors.ts';
import type { Metrics } from '../../../statistics/measure.ts';
import { precisionSchema } from '../../../adapter/storage/adapterNotes.ts';
import type { BasePrecision } from '../../../ops/precision/precision.ts';
import type { SamplerState } from '../../../train/sampling/sampler.ts';
import { BadLosses, type BadLossState } from '../badLoss.ts';
import type { Divergence } from '../../../plugin/events.ts';
import { type DivergenceState, DivergenceWatch } from '../divergence.ts';
import { Objective, type ObjectiveState } from '../objective.ts';
import { metricOf } from '../options/checked.ts';
import type { CheckedOptions } from '../options/options.ts';

/** A run's state without tensors. */
export interface RunState {
  /** The sampler's state after the last used batch; null before the first. */
  readonly position: SamplerState | null;
  readonly loss: number | null;
  readonly seconds: number;
  readonly skippedSteps: number;
  readonly badExamples: readonly number[];
  readonly badLosses: BadLossState;
  readonly divergence?: SavedDivergence | undefined;
  readonly objective: ObjectiveState;
  /** The last and the best measurement; NaN is null. */
  readonly measured?: { readonly step: number; readonly metrics: SavedMetrics } | undefined;
  readonly bestMetrics?: SavedMetrics | undefined;
  readonly precision?: BasePrecision | undefined;
  /** The trainer's state, validated by the trainer. */
  readonly trainer: unknown;
}

type SavedMetrics = Readonly<Record<string, number | null>>;

/** NaN is null in JSON. */
function savedMetrics(metrics: Metrics): SavedMetrics {
  return Object.fromEntries(
    Object.entries(metrics).map(([name, value]) => [name, Number.isFinite(value) ? value : null]),
  );
}

type SavedDivergence = Omit<DivergenceState, 'found'> & {
  readonly found?: (Omit<Divergence, 'loss'> & { readonly loss: number | null }) | undefined;
};

function savedDivergence({ found, ...losses }: DivergenceState): SavedDivergence {
  return { ...losses, ...(found && { found: { ...found, loss: Number.isNaN(found.loss) ? null : found.loss } }) };
}

function divergenceFrom({ found, ...losses }: SavedDivergence): DivergenceState {
  return { ...losses, ...(found && { found: { ...found, loss: found.loss ?? NaN } }) };
}

function metricsFrom(saved: SavedMetrics): Metrics {
  return Object.fromEntries(Object.entries(saved).map(([name, value]) => [name, value ?? NaN]));
}

/** The progress of a run, restored from a checkpoint if resumed. */
export class RunProgress {
  readonly badLosses: BadLosses;
  readonly divergence: DivergenceWatch;
  readonly objective: Objective;
  readonly badExamples: Set<number>;
  step: number;
  loss: number;
  skippedSteps: number;
  position: SamplerState | null;
  measured: { readonly step: number; readonly metrics: Metrics } | undefined;
  bestMetrics: Metrics | undefined;
  readonly #secondsBefore: number;

  constructor(
    options: CheckedOptions,
    { step, steps, state }: { readonly step: number; readonly steps: number; readonly state?: RunState | undefined },
  ) {
    this.badLosses = new BadLosses(options.onBadLoss, options.maxBadLosses, state?.badLosses);
    this.divergence = new DivergenceWatch(steps, state?.divergence && divergenceFrom(state.divergence));
    this.objective = new Objective(metricOf(options), options.earlyStopping, state?.objective);
    this.badExamples = new Set(state?.badExamples);
    this.step = step;
    this.loss = state?.loss ?? NaN;
    this.skippedSteps = state?.skippedSteps ?? 0;
    this.position = state?.position ?? null;
    this.#secondsBefore = state?.seconds ?? 0;
    if (state?.measured) this.measured = { ...state.measured, metrics: metricsFrom(state.measured.metrics) };
    if (state?.bestMetrics) this.bestMetrics = metricsFrom(state.bestMetrics);
  }

  seconds(own: number): number {
    return this.#secondsBefore + own;
  }

  state(own: number, trainer: unknown): RunState {
    return {
      position: this.position,
      loss: Number.isFinite(this.loss) ? this.loss : null,
      seconds: this.seconds(own),
      skippedSteps: this.skippedSteps,
      badExamples: [...this.badExamples],
      badLosses: this.badLosses.state,
      divergence: savedDivergence(this.divergence.state),
      objective: this.objective.state,
      ...(this.measured && { measured: { ...this.measured, metrics: savedMetrics(this.measured.metrics) } }),
      ...(this.bestMetrics && { bestMetrics: savedMetrics(this.bestMetrics) }),
      trainer,
    };
  }
}

const count = z.int().min(0);
const metrics = z.record(z.string(), z.nullable(z.number()));

const schema = z.object({
  position: z.nullable(z.object({ random: z.array(z.number()).length(4), position: count, epoch: z.int().min(-1) })),
  loss: z.nullable(z.number()),
  seconds: z.number(),
  skippedSteps: count,
  badExamples: z.array(count),
  badLosses: z.object({ inARow: count, factor: z.number() }),
  divergence: z.optional(
    z.object({
      first: z.array(z.number()),
      last: z.array(z.number()),
      found: z.optional(z.object({ step: count, start: z.number(), loss: z.nullable(z.number()) })),
    }),
  ),
  objective: z.object({
    best: z.optional(z.object({ step: count, value: z.number() })),
    mark: z.optional(z.number()),
    withoutBetter: count,
  }),
  measured: z.optional(z.object({ step: count, metrics })),
  bestMetrics: z.optional(metrics),
  precision: z.optional(precisionSchema),
  trainer: z.unknown(),
});

/** @throws OnnxLoraError `FILE_INVALID` if invalid */
export function parseRunState(folder: string, state: unknown): RunState {
  const { data, error } = schema.safeParse(state);
  if (data) return data;
  const [issue] = error.issues;
  throw new OnnxLoraError(
    'FILE_INVALID',
    `"${folder}" holds a state that this onnx-lora does not understand (${issue!.path.join('.')}: ${issue!.message}). Resume with the version that wrote it, or start over.`,
  );
}
