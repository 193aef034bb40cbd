/** @file What a run keeps in a checkpoint beside tensors. */

import { z } from 'zod';
import { OnnxLoraError } from '../../../errors.ts';
import type { Metrics } from '../../../plugin/dataset.ts';
import type { SamplerState } from '../../../train/sampling/sampler.ts';
import type { BadLossState } from '../badLoss.ts';
import type { ObjectiveState } from '../objective.ts';

/** Everything but tensors. */
export interface RunState {
  /** Where the sampler stood after the last batch that was used; null before the first. */
  readonly position: SamplerState | null;
  /** Loss of the last step; null where there is none. */
  readonly loss: number | null;
  readonly seconds: number;
  readonly skippedSteps: number;
  /** Examples that could not be loaded, each once. */
  readonly badExamples: readonly number[];
  readonly badLosses: BadLossState;
  readonly objective: ObjectiveState;
  /** The last measurement, and the best: NaN is null. */
  readonly measured?: { readonly step: number; readonly metrics: SavedMetrics } | undefined;
  readonly bestMetrics?: SavedMetrics | undefined;
  /** The trainer's own, which it checks itself. */
  readonly trainer: unknown;
}

type SavedMetrics = Readonly<Record<string, number | null>>;

/** Metrics as JSON can hold them. */
export function savedMetrics(metrics: Metrics): SavedMetrics {
  return Object.fromEntries(
    Object.entries(metrics).map(([name, value]) => [name, Number.isFinite(value) ? value : null]),
  );
}

/** Metrics out of a checkpoint. */
export function metricsFrom(saved: SavedMetrics): Metrics {
  return Object.fromEntries(Object.entries(saved).map(([name, value]) => [name, value ?? NaN]));
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
  objective: z.object({
    best: z.optional(z.object({ step: count, value: z.number() })),
    mark: z.optional(z.number()),
    withoutBetter: count,
  }),
  measured: z.optional(z.object({ step: count, metrics })),
  bestMetrics: z.optional(metrics),
  trainer: z.unknown(),
});

/** @throws OnnxLoraError `FILE_INVALID` for what no run has written */
export function parseRunState(folder: string, state: unknown): RunState {
  const { data, error } = schema.safeParse(state);
  if (data) return data;
  const [issue] = error.issues;
  throw new OnnxLoraError(
    'FILE_INVALID',
    `"${folder}" holds a state that this onnx-lora does not understand (${issue!.path.join('.')}: ${issue!.message}). Resume with the version that wrote it, or start anew.`,
  );
}
