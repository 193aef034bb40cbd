/** @file A graph for smaller inputs computes what an export for those sizes would. */

import { describe, expect, it } from 'vitest';
import { difference, modelFrom, runOnce } from '../../../../../test/support/graphs.ts';
import { GraphBuilder, type Value } from '../../graph/builder.ts';
import { openOnnx } from '../../graph/file/onnxFile.ts';
import type { GraphProto, ModelProto } from '../../graph/proto.ts';
import { Random } from '../../runtime/random.ts';
import { float32, type Tensor } from '../../runtime/tensor.ts';
import { inferNode } from '../infer.ts';
import type { InputSizes } from './inputSizes.ts';
import { resizeInputs } from './resizeInputs.ts';

type Model = ModelProto & { readonly graph: GraphProto };

const encoder = new URL('../../../../../test/fixtures/whisperMerged/onnx/encoder_model.onnx', import.meta.url).pathname;

function normal(seed: number, ...dims: number[]): Tensor {
  const random = new Random(seed);
  const count = dims.reduce((a, b) => a * b);
  return float32(
    Float32Array.from({ length: count }, () => random.normal()),
    dims,
  );
}

/** A layer of attention over `size` positions, with every size written down, as an exporter for that size writes it. */
function written(size: number): { model: Model; y: string } {
  const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: 'x/' });
  const x: Value = { name: 'x', type: 'float32', shape: ['batch', size, 6] };
  const first = (tensor: Tensor, ...shape: number[]): Value =>
    g.constant(
      float32(
        (tensor.data as Float32Array).slice(
          0,
          shape.reduce((a, b) => a * b),
        ),
        shape,
      ),
    );
  const positions = first(normal(1, 12, 6), size, 6);
  const rows = g.Add(positions, x);
  const heads = (seed: number): Value =>
    g.Transpose(g.Reshape(g.MatMul(rows, g.constant(normal(seed, 6, 6))), [-1, size, 2, 3]), [0, 2, 1, 3]);
  const scores = g.MatMul(g.Reshape(heads(2), [0, 2, size, 3]), g.Transpose(heads(3), [0, 1, 3, 2]));
  // Later keys are hidden: the first positions of the mask are the mask of the first positions.
  const hides = Array.from({ length: size * size }, (_, i) => (i % size > Math.floor(i / size) ? -1e9 : 0));
  const masked = g.Add(scores, g.constant(float32(hides, [1, 1, size, size])));
  const mixed = g.Transpose(g.MatMul(g.Softmax(masked, -1), heads(4)), [0, 2, 1, 3]);
  const joined = g.Reshape(g.Reshape(mixed, [-1, size, 6]), [-1, 6]);
  const y = g.Reshape(g.MatMul(joined, g.constant(normal(5, 6, 4))), [-1, size, 4]);
  return { model: modelFrom(g, [x], [y]) as Model, y: y.name };
}

describe('a graph with written sizes', () => {
  it.each([1, 5, 11])('becomes that of %i positions', async (size) => {
    const { model, y } = written(12);
    const feeds = { x: normal(7, 3, size, 6) };
    const { model: expected, y: expectedY } = written(size);
    const resized = resizeInputs(model, { x: { 1: size } }, 'layer');
    const [actual, wanted] = [(await runOnce(resized, feeds))[y], (await runOnce(expected, feeds))[expectedY]];
    expect(wanted?.dims).toEqual([3, size, 4]);
    expect(difference(actual, wanted)).toBeLessThan(1e-6);
  });

  it('stays itself for the sizes that it has', () => {
    const { model } = written(12);
    expect(resizeInputs(model, { x: { 1: 12 } }, 'layer')).toBe(model);
    expect(resizeInputs(model, {}, 'layer')).toBe(model);
  });
});

describe("Whisper's encoder", () => {
  it('hears the first 40 frames as torch does with the first 20 positions', async () => {
    const model = openOnnx(encoder).model as Model;
    const resized = resizeInputs(model, { input_features: { 2: 40 } }, 'whisper');
    expect(resized.graph.output![0]!.type!.tensorType!.shape!.dim![1]).toMatchObject({ dimValue: 20 });
    const features = float32(
      Float32Array.from({ length: 2 * 80 * 40 }, (_, i) => Math.sin(i)),
      [2, 80, 40],
    );
    const { last_hidden_state: states } = await runOnce(resized, { input_features: features });
    expect(states!.dims).toEqual([2, 20, 32]);
    const rows = states!.data as Float32Array;
    // transformers 5.24 on torch 2.13, model.encoder.embed_positions cut to 20 rows: first and last row.
    const torch = [[-1.1527, 1.7939, 0.4395, -1.0438], [-0.8477, 1.8093, 0.2734, -1.0032]]; // prettier-ignore
    [0, rows.length - 32].forEach((at, i) =>
      torch[i]!.forEach((value, j) => expect(rows[at + j]).toBeCloseTo(value, 3)),
    );
  });
});

describe('what cannot follow', () => {
  const refused = (model: Model, sizes: InputSizes): unknown => {
    try {
      resizeInputs(model, sizes, 'my model');
    } catch (error) {
      return error;
    }
    return undefined;
  };

  it.each([
    [{ y: { 1: 3 } }, 'has no input "y"'],
    [{ x: { 1: 13 } }, '13'],
    [{ x: { 1: 0 } }, '0'],
    [{ x: { 3: 2 } }, 'axis 3'],
  ] as const)('%j is refused', (sizes, text) => {
    expect(refused(written(12).model, sizes)).toMatchObject({
      code: 'INPUT_INVALID',
      message: expect.stringContaining(text) as string,
    });
  });

  it('weights for so many positions', () => {
    const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: 'x/' });
    const x: Value = { name: 'x', type: 'float32', shape: [2, 12] };
    const y = g.MatMul(x, g.constant(normal(1, 12, 3)));
    expect(refused(modelFrom(g, [x], [y]) as Model, { x: { 1: 5 } })).toMatchObject({
      code: 'MODEL_UNSUPPORTED',
      message: expect.stringContaining('"my model" cannot be used with smaller inputs: MatMul') as string,
    });
  });

  it('a shape in which it is not clear what the size was', () => {
    const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: 'x/' });
    const x: Value = { name: 'x', type: 'float32', shape: [2, 12] };
    const y = g.Reshape(x, [2, 3, 4]);
    expect(refused(modelFrom(g, [x], [y]) as Model, { x: { 1: 6 } })).toMatchObject({
      code: 'MODEL_UNSUPPORTED',
      message: expect.stringContaining('Reshape') as string,
    });
  });

  /** A network that halves the image twice, enlarges it again by what `sizesOf` says, and puts it beside the first halving. */
  function halved(resize: (g: GraphBuilder, small: Value) => Value): Model {
    const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: 'x/' });
    const x: Value = { name: 'image', type: 'float32', shape: [1, 1, 32, 32] };
    const half = (value: Value): Value => g.emit('MaxPool', [value], { kernel_shape: [2, 2], strides: [2, 2] });
    const first = half(x);
    return modelFrom(g, [x], [g.Concat([first, resize(g, half(first))], 1)]) as Model;
  }
  const byScale = (g: GraphBuilder, small: Value): Value =>
    g.emit('Resize', [small, { name: '' }, g.constant(float32([1, 1, 2, 2], [4]))], { mode: 'nearest' });
  const toSize = (g: GraphBuilder, small: Value): Value =>
    g.emit('Resize', [small, { name: '' }, { name: '' }, g.ints([1, 1, 16, 16])], { mode: 'nearest' });

  it('values that no longer lie beside each other, with sizes that hold', async () => {
    const model = halved(byScale);
    const error = refused(model, { image: { 2: 22, 3: 22 } });
    expect(error).toMatchObject({
      code: 'MODEL_UNSUPPORTED',
      message: expect.stringMatching(/Concat .* cannot take \[1, 1, 11, 11\] and \[1, 1, 10, 10\]\. Take sizes .* such as \{ image: \{ 2: 20, 3: 20 \} \}; it was exported for: image \[1, 1, 32, 32\]/) as string, // prettier-ignore
    });
    const held = resizeInputs(model, { image: { 2: 20, 3: 20 } }, 'my model');
    const [output] = Object.values(await runOnce(held, { image: normal(3, 1, 1, 20, 20) }));
    expect(output!.dims).toEqual([1, 2, 10, 10]);
    // ONNX Runtime's answer.
    const fed = { ...model, graph: { ...model.graph, input: held.graph.input!.map((info) => ({ ...info, type: { tensorType: { elemType: 1, shape: { dim: [1, 1, 22, 22].map((dimValue) => ({ dimValue })) } } } })), output: [{ ...model.graph.output![0]!, type: { tensorType: { elemType: 1 } } }], valueInfo: [] } }; // prettier-ignore
    await expect(runOnce(fed, { image: normal(3, 1, 1, 22, 22) })).rejects.toThrow(/Concat/);
  });

  it('a Resize to a size that was written down, where another branch follows the input', () => {
    expect(refused(halved(toSize), { image: { 2: 16, 3: 16 } })).toMatchObject({
      code: 'MODEL_UNSUPPORTED',
      message: expect.stringMatching(/Concat .* cannot take \[1, 1, 8, 8\] and \[1, 1, 16, 16\]\. Use the sizes that it was exported for: image \[1, 1, 32, 32\]/) as string, // prettier-ignore
    });
  });
});
