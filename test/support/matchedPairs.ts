/** @file The pairs of queries and objects that the loss of a detection case matches. */

import path from 'node:path';
import type { Feeds } from '@onnx-lora/sdk';
import { readSafetensors } from '@onnx-lora/sdk/data';
import { inferNode } from '@onnx-lora/sdk/plugin';
import { GraphBuilder, type Value } from '@onnx-lora/sdk/tasks';
import { readFileSync } from 'node:fs';
import { detectorOutputs, type DetectorPorts } from '@onnx-lora/vision';
import { match } from '../../packages/vision/src/tasks/detection/losses/matching.ts';
import { modelOf, runOnce } from './graphs.ts';
import { detectionLosses, settingsOf } from '../conformance/detectionLosses.ts';

/** Pairs `query-object` by `SET.IMAGE`, sorted by query, from the outputs that the case expects. */
export async function matchedPairs(folder: string): Promise<Record<string, string[]>> {
  const { loss } = JSON.parse(readFileSync(path.join(folder, 'case.json'), 'utf8')) as {
    loss: DetectorPorts & Parameters<typeof settingsOf>[0] & { kind: string };
  };
  const { tensors } = await readSafetensors(path.join(folder, 'expected.safetensors'));
  const given = await readSafetensors(path.join(folder, 'inputs.safetensors'));
  const targets = detectionLosses[loss.kind]!(loss).targets!(Object.fromEntries(given.tensors));
  const outputs = Object.fromEntries(
    [...tensors].flatMap(([key, tensor]) => (/^lora\.\w+$/.test(key) ? [[key.slice('lora.'.length), tensor]] : [])),
  ) as Feeds;
  const valuesOf = (feeds: Feeds): Record<string, Value> =>
    Object.fromEntries(Object.entries(feeds).map(([name, { type, dims }]) => [name, { name, type, shape: dims }]));
  const inputs = { ...valuesOf(outputs), ...valuesOf(targets) };
  const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: 'match/' });
  const { sets } = detectorOutputs(g, inputs, loss);
  const { cost } = settingsOf(loss, loss.kind);
  const found = sets.map(({ logits, boxes }) => {
    const clipped = loss.kind === 'd-fine' ? g.emit('Clip', [boxes, g.scalar(0), g.scalar(1)]) : boxes!;
    const { labels, boxes: objects, counts } = inputs as Record<'labels' | 'boxes' | 'counts', Value>;
    return match(g.scope(`match/${logits.name}/`), { logits, boxes: clipped, labels, objects, counts }, cost).objectOf;
  });
  const names = found.map(({ name }) => name);
  const model = modelOf({ opset: 17, inputs: Object.values(inputs), outputs: names, nodes: g.nodes, initializers: g.initializers }); // prettier-ignore
  const results = await runOnce(model, { ...outputs, ...targets });
  return Object.fromEntries(
    names.flatMap((name, set) => {
      const { data, dims } = results[name]!;
      return Array.from({ length: dims[0]! }, (_, image) => {
        const objects = Array.from(data.slice(image * dims[1]!, (image + 1) * dims[1]!) as BigInt64Array, Number);
        const pairs = objects.flatMap((object, query) => (object < 0 ? [] : [`${query}-${object}`]));
        return [`${set === 0 ? 'final' : `aux_${set - 1}`}.${image}`, pairs] as const;
      });
    }),
  );
}
