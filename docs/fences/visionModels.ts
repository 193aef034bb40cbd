/** @file Models made from the small ViT, that stand in for those that a reader has. */

import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { float32, type Model, openModel } from '@onnx-lora/sdk';
import { type ModelProto, readFloats, tensorProto, writeOnnx } from '@onnx-lora/sdk/plugin';
import { root } from './fences.ts';
import { copyOf, type Fixture } from './fixtures.ts';

const imageNet = { image_mean: [0.485, 0.456, 0.406], image_std: [0.229, 0.224, 0.225] };
const vit = 'docs/examples/models/vit-mnist';

/** A backbone in the place of DINOv2: tokens and their first, without a head. */
export const backbone: Fixture = madeFrom('dinov2', ({ onnx: { model } }) => {
  const { graph } = model;
  const outputs = {
    last_hidden_state: '/vit/layernorm/LayerNormalization_output_0',
    pooler_output: '/Gather_output_0',
  };
  const node = graph!.node!.filter(({ name }) => name !== '/classifier/Gemm');
  for (const [name, source] of Object.entries(outputs)) {
    node.push({ opType: 'Identity', input: [source], output: [name] });
  }
  const dims = { last_hidden_state: [17, 96], pooler_output: [96] };
  const output = Object.entries(dims).map(([name, sizes]) => ({
    name,
    type: {
      tensorType: {
        elemType: 1,
        shape: { dim: [{ dimParam: 'batch_size' }, ...sizes.map((dimValue) => ({ dimValue }))] },
      },
    },
  }));
  return { ...model, graph: { ...graph, node, output } };
});

/** The ViT with its linear layers in int8, a scale for each output behind DequantizeLinear. */
export const int8Vit: Fixture = madeFrom('vit', ({ onnx: { model } }) => {
  const { graph } = model;
  const weights = new Map(graph!.initializer!.map((each) => [each.name, each]));
  const initializer = [...weights.values()];
  const node = graph!.node!.flatMap((each) => {
    const weight = each.opType === 'MatMul' ? weights.get(each.input![1]!) : undefined;
    if (!weight) return [each];
    const { name, dims = [] } = weight;
    const [width, out] = dims.map(Number) as [number, number];
    const floats = readFloats(weight);
    const scales = Float32Array.from({ length: out }, (_, o) =>
      Math.max(...Array.from({ length: width }, (__, i) => Math.abs(floats[i * out + o]!) / 127)),
    );
    const data = Int8Array.from(floats, (value, at) => Math.round(value / scales[at % out]!));
    initializer.splice(initializer.indexOf(weight), 1);
    initializer.push(tensorProto(`${name}_quantized`, { type: 'int8', dims: [width, out], data }));
    initializer.push(tensorProto(`${name}_scale`, float32(scales, [out])));
    const dequantized = {
      opType: 'DequantizeLinear',
      input: [`${name}_quantized`, `${name}_scale`],
      output: [name!],
      attribute: [{ name: 'axis', type: 2, i: 1 }],
    };
    return [dequantized, each];
  });
  return { ...model, graph: { ...graph, node, initializer } };
});

/** The ViT in place of a DETR, whose preprocessor alone is used. */
export const detr: Fixture = async (folder) => {
  await copyOf(vit)(folder);
  await writeFile(path.join(folder, 'config.json'), '{ "model_type": "detr" }');
  const size = { shortest_edge: 28, longest_edge: 40 };
  const processor = { image_processor_type: 'DetrImageProcessor', size, ...imageNet };
  await writeFile(path.join(folder, 'preprocessor_config.json'), JSON.stringify(processor));
};

function madeFrom(modelType: string, change: (model: Model) => ModelProto): Fixture {
  return async (folder) => {
    await mkdir(folder, { recursive: true });
    await copyOf(`${vit}/preprocessor_config.json`)(path.join(folder, 'preprocessor_config.json'));
    await writeFile(
      path.join(folder, 'config.json'),
      JSON.stringify({ model_type: modelType, num_attention_heads: 4 }),
    );
    writeOnnx(path.join(folder, 'model.onnx'), change(await openModel(path.join(root, vit))));
  };
}
