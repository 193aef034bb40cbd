/** @file A model with functions computes the same when they are inlined, by ONNX Runtime's own account. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { runOnce } from '../../../../../test/support/graphs.ts';
import { memorySource, readBytes } from '../../graph/bytes.ts';
import { decodeModel } from '../../graph/file/decode.ts';
import { encodeModel } from '../../graph/file/encode.ts';
import type { AttributeProto, FunctionProto, ModelProto, NodeProto, ValueInfoProto } from '../../graph/proto.ts';
import { tensorProto } from '../../graph/tensorData.ts';
import { float32, type Tensor, tensor } from '../../runtime/tensor.ts';
import { inlineFunctions } from './inlineFunctions.ts';

const OWN = 'own';
const versions = [
  { domain: '', version: 17 },
  { domain: OWN, version: 1 },
];

const call = (opType: string, input: string[], output: string[], more: NodeProto = {}): NodeProto => ({
  opType,
  domain: OWN,
  input,
  output,
  ...more,
});
const node = (opType: string, input: string[], output: string[], more: NodeProto = {}): NodeProto => ({
  opType,
  input,
  output,
  ...more,
});
const f = (name: string, value: number): AttributeProto => ({ name, type: 1, f: value });
const reference = (name: string, refAttrName: string): AttributeProto => ({ name, type: 1, refAttrName });
const fn = (
  name: string,
  input: string[],
  output: string[],
  body: NodeProto[],
  more: FunctionProto = {},
): FunctionProto => ({
  name,
  domain: OWN,
  opsetImport: versions,
  input,
  output,
  node: body,
  ...more,
});
const port = (name: string, elemType = 1, dims: number[] = [2, 3]): ValueInfoProto => ({
  name,
  type: { tensorType: { elemType, shape: { dim: dims.map((dimValue) => ({ dimValue })) } } },
});
const model = (nodes: NodeProto[], functions: FunctionProto[], outputs: string[]): ModelProto => ({
  irVersion: 8,
  opsetImport: versions,
  functions,
  graph: {
    name: 'test',
    node: nodes,
    initializer: [tensorProto('weight', float32([1, -2, 3, 0.5, 0.25, -1, 2, 1, -0.5], [3, 3]))],
    input: [port('x'), port('yes', 9, [])],
    output: outputs.map((name) => port(name)),
  },
});
const feeds = (yes: boolean): Record<string, Tensor> => ({
  x: float32([1, -2, 3, -0.5, 0.25, 2], [2, 3]),
  yes: tensor('bool', Uint8Array.of(Number(yes)), []),
});

async function same(original: ModelProto): Promise<ModelProto> {
  const inlined = inlineFunctions(original);
  expect(inlined.functions).toBeUndefined();
  for (const yes of [true, false]) {
    expect(await runOnce(inlined, feeds(yes))).toEqual(await runOnce(original, feeds(yes)));
  }
  return inlined;
}

const names = (graph: ModelProto): string[] =>
  graph.graph!.node!.map(({ name, output }) => `${name} → ${output!.join()}`);

const leaky = fn(
  'Leaky',
  ['a'],
  ['r'],
  [node('LeakyRelu', ['a'], ['r'], { name: 'act', attribute: [reference('alpha', 'slope')] })],
  {
    attributeProto: [f('slope', 0.5)],
  },
);
const linear = fn(
  'Linear',
  ['a', 'w'],
  ['r'],
  [
    node('MatMul', ['a', 'w'], ['product'], { name: 'MatMul' }),
    call('Leaky', ['product'], ['r'], { name: 'leaky', attribute: [reference('slope', 'alpha')] }),
  ],
  { attribute: ['alpha'] },
);

describe('what a call puts in', () => {
  test('attributes given, by default, and left out; names under the call', async () => {
    const inlined = await same(
      model(
        [
          call('Linear', ['x', 'weight'], ['h'], { name: '/fc1', attribute: [f('alpha', 0.125)] }),
          call('Linear', ['h', 'weight'], ['i'], { name: '/fc2' }),
          call('Leaky', ['i'], ['y']),
        ],
        [leaky, linear],
        ['y'],
      ),
    );
    expect(names(inlined)).toEqual([
      '/fc1/MatMul → /fc1/product',
      '/fc1/leaky/act → h',
      '/fc2/MatMul → /fc2/product',
      '/fc2/leaky/act → i',
      '/Leaky/act → y',
    ]);
    expect(inlined.graph!.node!.map(({ attribute }) => attribute!.map(({ f: value }) => value))).toEqual([
      [],
      [0.125],
      [],
      [0.5],
      [0.5],
    ]);
  });

  test('a module that is called by its scope and its class is named by its scope', async () => {
    const inlined = await same(
      model(
        [
          call('Linear', ['x', 'weight'], ['h'], { name: '/block/fc1/Linear' }),
          call('Linear', ['h', 'weight'], ['i'], { name: '/block/fc2/Linear_1' }),
          call('Leaky', ['i'], ['y'], { name: '/Linear' }),
        ],
        [leaky, linear],
        ['y'],
      ),
    );
    expect(inlined.graph!.node!.map(({ name }) => name)).toEqual([
      '/block/fc1/MatMul',
      '/block/fc1/leaky/act',
      '/block/fc2/MatMul',
      '/block/fc2/leaky/act',
      '/Linear/act',
    ]);
  });

  test('an omitted input, an omitted output, an input handed on, an output twice', async () => {
    const clip = fn(
      'Bound',
      ['a', 'low', 'high'],
      ['r', 'a', 'spare'],
      [node('Clip', ['a', 'low', 'high'], ['r']), node('Neg', ['r'], ['spare'])],
    );
    const original = model(
      [
        node('Constant', [], ['one'], { attribute: [{ name: 'value_float', type: 1, f: 1 }] }),
        call('Bound', ['x', '', 'one'], ['y', 'z']),
        call('Bound', ['z', 'one'], ['', '', 'n']),
      ],
      [clip],
      ['y', 'z', 'n'],
    );
    // ONNX Runtime refuses a function whose output is its input, so the values are computed by hand.
    const found = await runOnce(inlineFunctions(original), feeds(true));
    expect([...found['y']!.data]).toEqual([1, -2, 1, -0.5, 0.25, 1]);
    expect([...found['z']!.data]).toEqual([1, -2, 3, -0.5, 0.25, 2]);
    expect([...found['n']!.data]).toEqual([-1, -1, -3, -1, -1, -2]);
  });

  test('branches inside a function that capture its values, and calls inside branches', async () => {
    const branch = (name: string, body: NodeProto[]): AttributeProto => ({
      name,
      type: 5,
      g: { name, node: body, output: [{ name: body.at(-1)!.output![0]! }] },
    });
    const choose = fn(
      'Choose',
      ['condition', 'a'],
      ['r'],
      [
        node('Neg', ['a'], ['minus']),
        node('If', ['condition'], ['r'], {
          attribute: [
            branch('then_branch', [call('Leaky', ['minus'], ['t'], { attribute: [reference('slope', 'slope')] })]),
            branch('else_branch', [node('Add', ['a', 'minus'], ['sum']), node('Exp', ['sum'], ['e'])]),
          ],
        }),
      ],
      { attributeProto: [f('slope', 2)] },
    );
    const inlined = await same(
      model(
        [
          call('Choose', ['yes', 'x'], ['h']),
          node('If', ['yes'], ['y'], {
            attribute: [
              branch('then_branch', [
                call('Choose', ['yes', 'h'], ['c'], { attribute: [f('slope', 3)] }),
                node('Neg', ['c'], ['d']),
              ]),
              branch('else_branch', [call('Leaky', ['h'], ['k'])]),
            ],
          }),
        ],
        [leaky, choose],
        ['y'],
      ),
    );
    const calls = inlined.graph!.node!.filter(({ opType }) => opType === 'Choose' || opType === 'Leaky');
    expect(calls).toEqual([]);
  });

  test('scopes of the exporter', () => {
    const scopes = (value: string): NodeProto => ({ metadataProps: [{ key: 'pkg.torch.onnx.name_scopes', value }] });
    const body = fn('Two', ['a'], ['r'], [node('Neg', ['a'], ['n'], scopes('inner')), node('Exp', ['n'], ['r'])]);
    const inlined = inlineFunctions(model([call('Two', ['x'], ['y'], scopes('outer'))], [body], ['y']));
    expect(inlined.graph!.node!.map(({ metadataProps }) => metadataProps![0]!.value)).toEqual(['inner', 'outer']);
  });

  test('names that nothing in the graph has', async () => {
    const body = fn('Two', ['a'], ['r'], [node('Neg', ['a'], ['n'], { name: 'Neg' }), node('Exp', ['n'], ['r'])]);
    const nodes = [
      node('Neg', ['x'], ['/block/n'], { name: '/block/Neg' }),
      call('Two', ['/block/n'], ['h'], { name: '/block' }),
      call('Two', ['h'], ['i']),
      call('Two', ['i'], ['y']),
    ];
    const inlined = await same(model(nodes, [body], ['y']));
    const all = inlined.graph!.node!.flatMap(({ name, output }) => [`node ${name}`, ...output!]);
    expect(new Set(all).size).toBe(all.length);
  });
});

describe('what is refused', () => {
  test('a function that calls itself through another', () => {
    const functions = [
      fn('Ping', ['a'], ['r'], [call('Pong', ['a'], ['r'])]),
      fn('Pong', ['a'], ['r'], [call('Ping', ['a'], ['r'])]),
    ];
    expect(() =>
      inlineFunctions(model([call('Ping', ['x'], ['y'])], functions, ['y'])),
    ).toThrowErrorMatchingInlineSnapshot(
      `[OnnxLoraError: Function "Ping" of the model calls itself (Ping → Pong → Ping), which ONNX does not allow. Export the model again.]`,
    );
  });

  test('functions that double from one to the next', () => {
    const functions = Array.from({ length: 40 }, (_, i) =>
      fn(`F${i}`, ['a'], ['r'], i === 0 ? [] : [call(`F${i - 1}`, ['a'], ['h']), call(`F${i - 1}`, ['h'], ['r'])]),
    );
    expect(() =>
      inlineFunctions(model([call('F39', ['x'], ['y'])], functions, ['y'])),
    ).toThrowErrorMatchingInlineSnapshot(
      `[OnnxLoraError: Function "F19" of the model would become more than 1000000 nodes and calls. Check where the file comes from, and export it again.]`,
    );
  });

  test('a function of another opset with an operator that changed', () => {
    const old = fn(
      'Mean',
      ['a'],
      ['r'],
      [node('ReduceMean', ['a'], ['r'], { attribute: [{ name: 'axes', type: 7, ints: [1] }] })],
      {
        opsetImport: [{ domain: '', version: 17 }],
      },
    );
    const newer = {
      ...model([call('Mean', ['x'], ['y'])], [old], ['y']),
      opsetImport: [{ domain: '', version: 18 }, versions[1]!],
    };
    expect(() => inlineFunctions(newer)).toThrowErrorMatchingInlineSnapshot(
      `[OnnxLoraError: Function "Mean" is written for version 17 of the standard operators, the model for version 18, and ReduceMean changed between them. Convert the model to one version, with onnx.version_converter or by exporting it again.]`,
    );
    const harmless = fn('Mean', ['a'], ['r'], [node('Neg', ['a'], ['r'])], {
      opsetImport: [{ domain: '', version: 17 }],
    });
    expect(inlineFunctions({ ...newer, functions: [harmless] }).graph!.node).toHaveLength(1);
  });
});

test('a model without functions is returned as it is', () => {
  const plain = model([node('Neg', ['x'], ['y'])], [], ['y']);
  expect(inlineFunctions(plain)).toBe(plain);
});

test('functions are read and written', () => {
  const original = model(
    [call('Linear', ['x', 'weight'], ['y'], { overload: 'second' })],
    [
      {
        ...linear,
        overload: 'second',
        docString: 'y = xW',
        attributeProto: [f('slope', 0.5)],
        valueInfo: [port('product')],
      },
    ],
    ['y'],
  );
  const bytes = Uint8Array.from(Buffer.concat(encodeModel(original).map(readBytes)));
  expect(decodeModel(memorySource(bytes), 'test').functions).toEqual(original.functions);
});

/** Functions of values a and b with an attribute `slope`; each may call earlier ones. */
const programs = fc
  .array(fc.array(fc.tuple(fc.nat(5), fc.nat(20), fc.nat(20), fc.boolean()), { minLength: 1, maxLength: 4 }), {
    minLength: 1,
    maxLength: 4,
  })
  .map((bodies) =>
    bodies.map((steps, index) => {
      const values = ['a', 'b'];
      const nodes = steps.map(([kind, left, right, given], i): NodeProto => {
        const output = i === steps.length - 1 ? 'r' : `v${i}`;
        const operands = [values[left % values.length]!, values[right % values.length]!];
        values.push(output);
        if (kind < 2 && index > 0) {
          return call(`F${(kind + left) % index}`, operands, [output], {
            attribute: given ? [reference('slope', 'slope')] : [f('slope', 0.75)],
          });
        }
        if (kind === 2)
          return node('LeakyRelu', [operands[0]!], [output], { attribute: [reference('alpha', 'slope')] });
        return node(kind === 3 ? 'Add' : kind === 4 ? 'Sub' : 'Max', operands, [output]);
      });
      return fn(`F${index}`, ['a', 'b'], ['r'], nodes, { attributeProto: [f('slope', 0.25)] });
    }),
  );

test('random functions', async () => {
  await fc.assert(
    fc.asyncProperty(programs, async (functions) => {
      const last = `F${functions.length - 1}`;
      await same(
        model(
          [
            call(last, ['x', 'x'], ['h'], { name: 'one' }),
            call(last, ['h', 'x'], ['y'], { attribute: [f('slope', 1.5)] }),
          ],
          functions,
          ['y'],
        ),
      );
    }),
    { seed: 1, numRuns: 40 },
  );
});
