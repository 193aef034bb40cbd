/** @file Joined graphs compute what their parts compute one after the other, by ONNX Runtime's own account. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { runOnce } from '../../../../../test/support/graphs.ts';
import '../../../../../test/support/seed.ts';
import { attributeProto } from '../../graph/attributes.ts';
import type {
  AttributeProto,
  FunctionProto,
  GraphProto,
  ModelProto,
  NodeProto,
  ValueInfoProto,
} from '../../graph/proto.ts';
import { tensorProto } from '../../graph/tensorData.ts';
import { allGraphs } from '../../graph/walk.ts';
import { float32, type Tensor } from '../../runtime/tensor.ts';
import { compose } from './compose.ts';
import { withIdleInputs } from './idleInputs.ts';
import type { GraphPart } from './ports.ts';

const OWN = 'own';
const imports = [
  { domain: '', version: 17 },
  { domain: OWN, version: 1 },
];

const node = (opType: string, input: string[], output: string[], more: NodeProto = {}): NodeProto => ({
  opType,
  name: `/${opType}`,
  input,
  output,
  ...more,
});
const port = (name: string, dims: readonly (number | string)[] = [2, 3], elemType = 1): ValueInfoProto => ({
  name,
  type: {
    tensorType: {
      elemType,
      shape: { dim: dims.map((size) => (typeof size === 'number' ? { dimValue: size } : { dimParam: size })) },
    },
  },
});
const weight = (name: string, scale: number): NonNullable<GraphProto['initializer']>[number] =>
  tensorProto(
    name,
    float32(
      [1, -2, 3, 0.5, 0.25, -1].map((value) => scale * value),
      [2, 3],
    ),
  );

/** `Twist(a)`: −a in one part, a·a in another, under one name. */
const twist = (op: 'Neg' | 'Abs'): FunctionProto => ({
  name: 'Twist',
  domain: OWN,
  opsetImport: imports,
  input: ['a'],
  output: ['r'],
  node: [node(op, ['a'], ['v0']), node('Tanh', ['v0'], ['r'])],
});

interface Drawn {
  readonly nodes: readonly { readonly op: number; readonly a: number; readonly b: number }[];
  readonly outputs: number;
  readonly reads: readonly number[];
  readonly scale: number;
  readonly twist: boolean;
}

const drawn = fc.record({
  nodes: fc.array(fc.record({ op: fc.nat(7), a: fc.nat(9), b: fc.nat(9) }), { minLength: 1, maxLength: 7 }),
  outputs: fc.integer({ min: 1, max: 3 }),
  reads: fc.array(fc.nat(9), { minLength: 1, maxLength: 2 }),
  scale: fc.constantFrom(1, 2),
  twist: fc.boolean(),
});

/** An If whose branches capture a value from outside, and define values of the names that others have. */
function branches(captured: string, output: string, name: string): NodeProto {
  const branch = (key: string, op: string): AttributeProto => ({
    name: key,
    type: 5,
    g: {
      name: key,
      node: [node(op, [captured], ['v1~inner']), node('Tanh', ['v1~inner'], [`${key}/out`])],
      output: [{ name: `${key}/out` }],
    },
  });
  return node('If', ['yes'], [output], {
    name,
    attribute: [branch('then_branch', 'Neg'), branch('else_branch', 'Exp')],
  });
}

/** A part whose values, weights, nodes and function are called as those of every other. */
function partOf(draw: Drawn, index: number, earlier: readonly string[]): GraphPart {
  const inputs = index === 0 ? ['x'] : [...draw.reads.map((_, i) => `in${i}`), 'x'];
  const reads = Object.fromEntries(
    draw.reads.map((which, i) => [`in${i}`, earlier[which % Math.max(1, earlier.length)]!]),
  );
  const values = [...inputs, 'w0', 'w1'];
  const nodes: NodeProto[] = [node('Constant', [], ['yes'], { attribute: [{ name: 'value', type: 4, t: tensorProto('', { type: 'bool', dims: [], data: Uint8Array.of(draw.scale - 1) }) }] })]; // prettier-ignore
  draw.nodes.forEach(({ op, a, b }, i) => {
    const [left, right] = [values[a % values.length]!, values[b % values.length]!];
    const output = `v${i}`;
    nodes.push({
      ...[
        node('Tanh', [left], [output]),
        node('Add', [left, right], [output]),
        node('Mul', [left, right], [output]),
        node('Sub', [left, right], [output]),
        branches(left, output, '/If'),
        node('Twist', [left], [output], { domain: OWN }),
        node('Sigmoid', [left], [output]),
        node('Max', [left, right], [output]),
      ][op]!,
      name: `/n${i}`,
    });
    values.push(output);
  });
  const outputs = values.slice(inputs.length + 2).slice(-draw.outputs);
  const model = {
    irVersion: 8,
    opsetImport: imports,
    functions: [twist(draw.twist ? 'Neg' : 'Abs')],
    graph: {
      name: 'main_graph',
      node: nodes,
      initializer: [weight('w0', draw.scale), weight('w1', 3)],
      input: inputs.map((name) => port(name)),
      output: outputs.map((name) => port(name)),
    },
  };
  return { name: `part${index}`, model, ...(index === 0 ? {} : { reads }) };
}

const feed = (seed: number): Tensor =>
  float32(
    [0.3, -0.7, 0.1, 0.9, -0.2, 0.4].map((value) => seed * value),
    [2, 3],
  );

test('generated parts, all of whose names collide', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(drawn, { minLength: 2, maxLength: 3 }), async (draws) => {
      const parts: GraphPart[] = [];
      // By the name of each part's output the value that it has when the parts run alone.
      let known: Record<string, Tensor> = {};
      const expected: Tensor[] = [];
      const feeds: Record<string, Tensor> = {};
      for (const [i, draw] of draws.entries()) {
        const part = partOf(draw, i, Object.keys(known));
        const own = feed(i + 1);
        feeds[i === 0 ? 'x' : `part${i}.x`] = own;
        const inputs = Object.entries(part.reads ?? {}).map(([input, output]) => [input, known[output]!] as const);
        const outputs = await runOnce(part.model, { ...Object.fromEntries(inputs), x: own });
        const names = (part.model.graph.output ?? []).map(({ name }) => name!);
        // The latest of several outputs with one name is read.
        known = { ...known, ...Object.fromEntries(names.map((name) => [name, outputs[name]!])) };
        expected.push(...names.map((name) => outputs[name]!));
        parts.push(part);
      }
      const every = compose(parts, { outputs: outputNames(parts) });
      const found = await runOnce(every, feeds);
      expect(outputNames(parts).map((name) => found[name])).toEqual(expected);
      expect(repeated(definedIn(every.graph))).toEqual([]);
    }),
    { numRuns: 60 },
  );
});

/** Names of all parts' outputs in the whole; a name already taken gets its part's as a prefix. */
function outputNames(parts: readonly GraphPart[]): string[] {
  const taken = new Set<string>(['x', ...parts.map((_, i) => `part${i}.x`)]);
  return parts.flatMap(({ name: part, model }) =>
    (model.graph.output ?? []).map(({ name = '' }) => {
      const free = taken.has(name) ? `${part}.${name}` : name;
      taken.add(free);
      return free;
    }),
  );
}

function definedIn(graph: GraphProto): string[] {
  return [...allGraphs(graph)].flatMap(({ node: nodes = [], initializer = [], input = [] }) => [
    ...nodes.flatMap(({ output = [] }) => output),
    ...[...initializer, ...input].map(({ name }) => name ?? ''),
  ]);
}

function repeated(names: readonly string[]): string[] {
  return names.filter((name, i) => names.indexOf(name) < i);
}

/** A part with one node. */
function small(
  name: string,
  {
    input = port('x'),
    output = port('y'),
    ...more
  }: { input?: ValueInfoProto; output?: ValueInfoProto } & Partial<ModelProto> & { op?: NodeProto },
): GraphPart {
  const { op = node('Neg', [input.name!], [output.name!]), graph, ...model } = more;
  return { name, model: { irVersion: 8, opsetImport: imports.slice(0, 1), ...model, graph: { node: [op], input: [input], output: [output], ...graph } } }; // prettier-ignore
}

describe('names', () => {
  test('what is read is no output of the whole, unless it is asked for', () => {
    const parts = [small('a', { output: port('h') }), small('b', { input: port('h') })];
    const portsOf = ({ graph }: ModelProto): string[][] =>
      [graph!.input, graph!.output].map((infos) => infos!.map((info) => info.name!));
    expect(portsOf(compose(parts))).toEqual([['x'], ['y']]);
    expect(portsOf(compose(parts, { outputs: ['y', 'h'] }))).toEqual([['x'], ['y', 'h']]);
    expect(() => compose(parts, { outputs: ['z'] })).toThrow('has an output "z". Their outputs are "h" (float32), "y"');
  });

  test('inputs of one given name are one', async () => {
    const add: GraphPart = {
      ...small('b', { op: node('Add', ['h', 'mask'], ['y']), graph: { input: [port('h'), port('mask')] } }),
      inputNames: { mask: 'x' },
    };
    const whole = compose([small('a', { output: port('h') }), add]);
    expect(whole.graph.input!.map(({ name }) => name)).toEqual(['x']);
    expect([...(await runOnce(whole, { x: feed(1) }))['y']!.data]).toEqual([0, 0, 0, 0, 0, 0]);
  });

  test('a weight that both hold is one; another of its name keeps a name of its own', () => {
    const part = (name: string, input: string, scale: number): GraphPart =>
      small(name, {
        input: port(input),
        output: port(`${input}y`),
        op: node('Mul', [input, 'shared.weight'], [`${input}y`]),
        graph: { initializer: [weight('shared.weight', scale)] },
      });
    const weights = (second: number): (string | undefined)[] =>
      compose([part('a', 'x', 1), part('b', 'xy', second)]).graph.initializer!.map(({ name }) => name);
    expect(weights(1)).toEqual(['shared.weight']);
    expect(weights(2)).toEqual(['shared.weight', 'shared.weight~1']);
  });

  test('a node whose name is taken gets a number as exporters count', () => {
    const parts = [small('a', { output: port('h') }), small('b', { input: port('h') })];
    expect(compose(parts).graph.node!.map(({ name }) => name)).toEqual(['/Neg', '/Neg_1']);
  });

  test('an output that is the input handed on', async () => {
    const pass = small('b', {
      input: port('h'),
      op: node('Neg', ['h'], ['z']),
      graph: { output: [port('z'), port('h')] },
    });
    const whole = compose([small('a', { output: port('h') }), pass]);
    const { z } = await runOnce(whole, { x: feed(1) });
    expect(z).toEqual(feed(1));
    expect([...(await runOnce(whole, { x: feed(1) }))['b.h']!.data]).toEqual([...feed(-1).data]);
  });
});

describe('inputs that the whole does not have', () => {
  const idle = (...inputs: ValueInfoProto[]): ModelProto & { graph: GraphProto } =>
    withIdleInputs(
      small('a', { graph: { input: [port('x'), ...inputs] } }).model as Parameters<typeof withIdleInputs>[0],
      /^(?:past|use)/,
    );

  test('are flags that are false, and empty tensors', async () => {
    const { graph } = idle(port('past.0', ['batch', 4, 'length', 8]), port('use_past', [1], 9), port('used', [], 7));
    expect(graph.input!.map(({ name }) => name)).toEqual(['x']);
    expect(graph.initializer!.map(({ name, dims, rawData }) => [name, dims, [...(rawData as Uint8Array)]])).toEqual([
      ['past.0', [0, 4, 0, 8], []],
      ['use_past', [1], [0]],
      ['used', [], [0, 0, 0, 0, 0, 0, 0, 0]],
    ]);
    const { graph: whole } = compose([{ name: 'a', model: idle(port('use_past', [1], 9)) }]);
    expect([...(await runOnce({ irVersion: 8, opsetImport: imports.slice(0, 1), graph: whole }, { x: feed(1) }))['y']!.data]).toEqual([...feed(-1).data]); // prettier-ignore
  });

  test('have the sizes of inputs that stay, and nothing is joined with them', async () => {
    const [x, past] = [port('x', ['batch', 2, 'now', 3]), port('past.0', ['batch', 2, 'length', 3])];
    const made = (op: NodeProto, y: ValueInfoProto): ModelProto & { graph: GraphProto } =>
      withIdleInputs(
        small('a', { op, graph: { input: [x, past], output: [y] } }).model as Parameters<typeof withIdleInputs>[0],
        /^past/,
      );
    const fed = float32([...Array(30).keys()], [1, 2, 5, 3]);
    const joined = made(
      node('Concat', ['past.0', 'x'], ['y'], { attribute: [attributeProto('axis', -2)] }),
      port('y', []),
    );
    expect(joined.graph.node!.at(-1)).toMatchObject({ opType: 'Identity', input: ['x'] });
    const shape = made(node('Shape', ['past.0'], ['y']), port('y', [4], 7));
    expect((await runOnce(shape, { x: fed }))['y']!.data).toEqual(BigInt64Array.of(1n, 2n, 0n, 3n));
  });

  test('are an error where they would mean something', () => {
    expect(() => idle(port('past.0', [2, 400]))).toThrow(
      '"past.0" should be left out of the joined model, but it is no flag',
    );
    expect(() => idle({ name: 'past.0' })).toThrow('"past.0" should be left out');
  });
});

describe('sizes', () => {
  const sizes = (whole: ModelProto): unknown =>
    [...whole.graph!.input!, ...whole.graph!.output!].map(({ name, type }) => [
      name,
      ...type!.tensorType!.shape!.dim!.map(({ dimParam, dimValue }) => dimParam ?? dimValue),
    ]);

  test('of one name are kept apart, unless an output and an input meet in them', () => {
    const first = small('a', { input: port('x', ['batch', 'length']), output: port('h', ['batch', 'half']) });
    const second = small('b', {
      op: node('MatMul', ['q', 'h'], ['y']),
      graph: {
        input: [port('q', ['batch', 'length']), port('h', ['batch', 'width'])],
        output: [port('y', ['length', 'width'])],
      },
    });
    expect(sizes(compose([first, second]))).toEqual([
      ['x', 'batch', 'length'],
      ['q', 'batch', 'b.length'],
      ['y', 'b.length', 'half'],
    ]);
  });

  test('that one part knows as a number are that number', () => {
    const first = small('a', { input: port('x', ['batch', 'n']), output: port('h', ['batch', 'n']) });
    const second = small('b', { input: port('h', ['b', 3]), output: port('y', ['b', 3]) });
    expect(sizes(compose([first, second]))).toEqual([
      ['x', 'batch', 3],
      ['y', 'batch', 3],
    ]);
  });

  test('that differ are an error', () => {
    const parts = (to: readonly number[]): GraphPart[] => [
      small('a', { output: port('h', [2, 4]) }),
      small('b', { input: port('h', to) }),
    ];
    expect(() => compose(parts([2, 3]))).toThrow(
      '"h" has the shape [2, 4], but "b" reads it as [2, 3] ("h"). Use files of one and the same model.',
    );
    expect(() => compose(parts([2, 4, 1]))).toThrow('reads it as [2, 4, 1]');
  });
});

describe('versions of operators', () => {
  const at = (version: number, op: NodeProto, name: string, input: string, output: string): GraphPart =>
    small(name, { op, input: port(input), output: port(output), opsetImport: [{ domain: '', version }] });

  test('are raised where that changes nothing', async () => {
    const whole = compose([
      at(13, node('Softmax', ['x'], ['h']), 'a', 'x', 'h'),
      at(17, node('Neg', ['h'], ['y']), 'b', 'h', 'y'),
    ]);
    expect(whole.opsetImport).toEqual([{ domain: '', version: 17 }]);
    expect((await runOnce(whole, { x: feed(0) }))['y']!.data[0]).toBeCloseTo(-1 / 3, 6);
  });

  test('are an error where an operator changed between them', () => {
    const parts = [
      at(11, node('Softmax', ['x'], ['h']), 'a', 'x', 'h'),
      at(17, node('Neg', ['h'], ['y']), 'b', 'h', 'y'),
    ];
    expect(() => compose(parts)).toThrow(
      '"a" is written for version 11 of the standard operators, another file of the model for version 17, and Softmax changed between them. Export all files with one opset',
    );
  });

  test('of other domains are joined, and must be alike', () => {
    const own = (name: string, version: number, input: string): GraphPart =>
      small(name, { input: port(input), output: port(`${input}y`), opsetImport: [...imports.slice(0, 1), { domain: 'com.microsoft', version }] }); // prettier-ignore
    expect(compose([own('a', 1, 'x'), small('b', { input: port('xy') })]).opsetImport).toContainEqual({ domain: 'com.microsoft', version: 1 }); // prettier-ignore
    expect(() => compose([own('a', 1, 'x'), own('b', 2, 'xy')])).toThrow('operators of com.microsoft');
  });
});

describe('parts that do not fit', () => {
  test('nothing connects them', () => {
    expect(() => compose([small('a', { output: port('h') }), small('b', { input: port('k') })])).toThrow(
      '"b" reads nothing of the files before it: its inputs are "k", their outputs are "h". Say which output feeds which input.',
    );
  });

  test('what is to be connected is not there', () => {
    const parts = [small('a', { output: port('h') }), small('b', { input: port('k') })];
    expect(() => compose([parts[0]!, { ...parts[1]!, reads: { k: 'g' } }])).toThrow(
      'The files before have no output "g" to connect. There are "h".',
    );
    expect(() => compose([parts[0]!, { ...parts[1]!, reads: { m: 'h' } }])).toThrow(
      '"b" has no input "m" to connect. There are "k".',
    );
  });

  test('types differ', () => {
    const parts = [small('a', { output: port('h', [2, 3], 10) }), small('b', { input: port('h') })];
    expect(() => compose(parts)).toThrow(
      '"h" is float16, but "b" reads it as float32 ("h"). Use files of one precision.',
    );
  });
});
