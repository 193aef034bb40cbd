/** @file Prompts of several images as tensors. */

import { type Feeds, float32, int64, OnnxLoraError } from '@onnx-lora/sdk';
import { type InputPrompt, padPoints } from './prompt.ts';
import { checkPrompt, type SamPorts } from './samPorts.ts';

/**
 * What the decoder is fed for prompts: as many for each image.
 *
 * @param images prompts of each image
 * @param name of the model, for messages
 * @throws OnnxLoraError `INPUT_INVALID` for a prompt that the graph has no input for
 */
export function promptFeeds(
  images: readonly (readonly InputPrompt[])[],
  ports: Pick<SamPorts, 'points' | 'labels' | 'boxes' | 'mask'>,
  name: string,
): Feeds {
  const prompts = images.flat();
  const [batch, each] = [images.length, images[0]!.length];
  for (const prompt of prompts) checkPrompt(prompt, ports, name);
  const feeds: Record<string, Feeds[string]> = {};
  if (ports.points !== undefined) {
    const { count, points, labels } = padPoints(prompts);
    feeds[ports.points] = float32(points, [batch, each, count, 2]);
    feeds[ports.labels!] = int64(labels, [batch, each, count]);
  }
  if (ports.boxes !== undefined)
    feeds[ports.boxes] = float32(
      prompts.flatMap(({ box }) => box!),
      [batch, each, 4],
    );
  if (ports.mask !== undefined) {
    if (each > 1) {
      throw new OnnxLoraError(
        'INPUT_INVALID',
        `"${name}" takes one mask for each image, so it answers one prompt at a time. Ask for them one after the other.`,
      );
    }
    feeds[ports.mask] = maskFeed(prompts.map(({ mask }) => mask!));
  }
  return feeds;
}

/** float32 `[batch, 1, height, width]` of square masks. */
function maskFeed(masks: readonly Float32Array[]): Feeds[string] {
  const area = masks[0]!.length;
  const edge = Math.sqrt(area);
  if (!Number.isInteger(edge) || masks.some(({ length }) => length !== area)) {
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `A mask as prompt holds the logits of an earlier answer as the decoder gave them, a square, but there are ${area}.`,
    );
  }
  const data = new Float32Array(masks.length * area);
  masks.forEach((mask, i) => data.set(mask, i * area));
  return float32(data, [masks.length, 1, edge, edge]);
}
