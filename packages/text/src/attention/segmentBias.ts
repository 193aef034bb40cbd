/** @file Masks attention between texts packed into one row. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { dataTypeNumber } from '@onnx-lora/sdk/plugin';
import type { PreparedTask, TaskModel } from '@onnx-lora/sdk/tasks';
import { attentionsOf, isRotary } from './attentions.ts';

/** The target with the segment of each token, int64 `[batch, tokens]`. */
export const SEGMENTS = 'segments';

/** Leaves no weight, in half precision as well, and stays finite when added to a mask. */
const FAR = -1e4;

/**
 * What is added to the scores of all attentions of a training graph: 0 where both tokens are of one segment, and −10⁴ elsewhere.
 * @param positions the graph's input with positions, which restart with each text; undefined where it has none
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` as {@link attentionsOf}, and for a graph that counts positions itself which are not rotary
 */
export function segmentBias(model: TaskModel, positions: string | undefined): NonNullable<PreparedTask['inside']> {
  const attentions = attentionsOf(model, 'Packing');
  if (positions === undefined && !isRotary(model)) {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `Packing begins positions anew with each conversation, but "${model.name}" has no input position_ids, and its positions are not rotary, so that later conversations of a row would stand where none begins. Export it with position_ids, or leave packing out.`,
    );
  }
  return Object.fromEntries(
    attentions.map(({ scores }) => [
      scores,
      (g, own, { targets: { [SEGMENTS]: segments } }) => {
        if (!segments) return own;
        const type = own.type ?? 'float32';
        const isSame = g.Equal(g.Unsqueeze(segments, [1, 3]), g.Unsqueeze(segments, [1, 2]));
        const bias = g.Where(isSame, g.scalar(0), g.scalar(FAR));
        return g.Add(own, type === 'float32' ? bias : g.Cast(bias, dataTypeNumber(type)));
      },
    ]),
  );
}
