/** @file In what the base of a run computes: as its model was opened, but for products that are too far off on its data. */

import type { BasePrecision } from '../../ops/precision/precision.ts';
import type { Feeds } from '../../runtime/tensor.ts';
import { type MeasuredProduct, measurePrecision } from '../../train/step/measurePrecision.ts';
import type { GradientStepRequest } from '../../train/step/stepRequest.ts';

/** How a run's base computes, and what there is to say of it. */
export interface RunPrecision {
  readonly precision?: BasePrecision | undefined;
  readonly warnings: readonly string[];
}

/**
 * Measures the products on the run's first batch.
 *
 * @param asked as the model was opened
 * @param before of the run that this one goes on with
 * @throws OnnxLoraError as `Trainer.compile`
 */
export async function runPrecision(
  request: GradientStepRequest,
  { asked, before }: { readonly asked: BasePrecision | undefined; readonly before: BasePrecision | undefined },
  inputs: Feeds,
  targets: Feeds,
): Promise<RunPrecision> {
  if (!asked || before || asked.inFloat32) return { precision: before ?? asked, warnings: [] };
  const { precision, products } = await measurePrecision({ ...request, precision: asked }, inputs, targets);
  const exact = new Set(precision.inFloat32);
  const kept = products.filter(({ name }) => exact.has(name));
  return { precision, warnings: kept.length === 0 ? [] : [keptInFloat32(precision, kept, products.length)] };
}

const SHOWN = 8;

function keptInFloat32({ name }: BasePrecision, kept: readonly MeasuredProduct[], of: number): string {
  const shown = kept
    .toSorted((a, b) => b.error - a.error)
    .slice(0, SHOWN)
    .map(
      (each) =>
        `${each.module} ${each.name.startsWith('backward') ? '(gradient) ' : ''}${(100 * each.error).toFixed(0)}%`,
    );
  const more = kept.length > SHOWN ? ` and ${kept.length - SHOWN} more` : '';
  return `Of ${of} products in precision "${name}", ${kept.length} stay in float32, since rounding changes them too much on the first batch: ${shown.join(', ')}${more}.`;
}
