/** @file Gradients through both branches of If, against finite differences. */

import { expect, test } from 'vitest';
import { type Case, type Composite, gradcheck } from '../../../../test/support/gradcheck.ts';
import type { GraphBuilder, Value } from '../graph/builder.ts';
import type { GraphProto } from '../graph/proto.ts';

/** An If of `outputs` outputs; each branch is built with a builder of its own. */
function branching(
  g: GraphBuilder,
  name: string,
  condition: Value,
  branches: readonly ((inner: GraphBuilder) => readonly Value[])[],
): Value[] {
  const [yes, no] = branches.map((build, i) => {
    const inner = g.inner(`${name}${i}`);
    const outputs = build(inner);
    for (const [each, type] of inner.types) g.types.set(each, type);
    const graph: GraphProto = {
      name: `${name}${i}`,
      node: inner.nodes,
      initializer: inner.initializers,
      output: outputs.map((output) => ({ name: output.name })),
    };
    return { graph, outputs };
  });
  const emitted = g.emitMany('If', [condition], yes!.outputs.length, {
    then_branch: { graph: yes!.graph },
    else_branch: { graph: no!.graph },
  });
  return emitted.map((value, i) => {
    const { type, shape } = yes!.outputs[i]!;
    g.types.set(value.name, { type, shape });
    return { ...value, type, shape };
  });
}

const weight = (g: GraphBuilder): Value =>
  g.constant({ type: 'float64', dims: [3, 2], data: Float64Array.from([1, -2, 0.5, 3, -1, 0.25]) });

const graphs: Readonly<Record<string, Composite>> = {
  'values that one branch reads, and that both read': (g, [condition, x, w, v]) => {
    const inside = g.Tanh(g.MatMul(x!, w!));
    const [y] = branching(g, 'choice', condition!, [
      (a) => [a.Mul(a.Exp(a.MatMul(inside, weight(a))), v!)],
      (b) => [b.Sin(b.MatMul(inside, weight(b)))],
    ]);
    return g.Add(g.Mul(y!, y!), g.ReduceSum(inside, [0, 1], false));
  },
  'two outputs, one value twice, and one that is captured as it is': (g, [condition, x, w]) => {
    const s = g.Sin(x!);
    const [y, z] = branching(g, 'choice', condition!, [
      (a) => {
        const square = a.Mul(s, s);
        return [square, a.Neg(square)];
      },
      (b) => [b.Identity(s), b.Mul(x!, x!)],
    ]);
    return g.MatMul(g.Add(g.Mul(y!, z!), y!), w!);
  },
  'weights of attention that a branch yields beside what it makes of them': (g, [condition, x, w]) => {
    const s = g.MatMul(x!, w!);
    const [y, p] = branching(g, 'choice', condition!, [
      (a) => {
        const weights = a.Softmax(s, -1);
        return [a.MatMul(weights, w!), weights];
      },
      (b) => [b.Identity(s), b.Neg(s)],
    ]);
    return g.Add(g.Mul(y!, p!), g.Sin(p!));
  },
  'a branch inside of a branch': (g, [condition, x, w]) => {
    const s = g.Sin(x!);
    const [y] = branching(g, 'outer', condition!, [
      (a) => {
        const t = a.Exp(s);
        const [inner] = branching(a, 'inner', condition!, [(c) => [c.Mul(c.Tanh(t), x!)], (d) => [d.Identity(s)]]);
        return [a.Mul(inner!, t)];
      },
      (b) => {
        const [inner] = branching(b, 'inner', b.Not(condition!), [(c) => [c.Mul(x!, s)], (d) => [d.Neg(x!)]]);
        return [inner!];
      },
    ]);
    return g.MatMul(y!, w!);
  },
};

test.each(Object.keys(graphs).flatMap((name) => [1, 0].map((taken) => [name, taken] as const)))(
  '%s; condition %i',
  async (name, taken) => {
    const inputs: Case['inputs'] = [
      { bools: [taken], dims: [] },
      [2, 3],
      [3, 3],
      ...(name.startsWith('values') ? [[2] as const] : []),
    ];
    const results = await gradcheck(graphs[name]!, { inputs });
    expect(results.map(({ input }) => input)).toEqual(inputs.map((_, i) => i).slice(1));
    for (const { input, error, tolerance } of results) expect(error, `input ${input}`).toBeLessThan(tolerance);
  },
);

test('an If of which nothing flows into the loss but by whole numbers ends the gradient', async () => {
  const build: Composite = (g, [condition, x]) => {
    const [rounded] = branching(g, 'choice', condition!, [
      (a) => [a.emit('Floor', [x!])],
      (b) => [b.emit('Ceil', [x!])],
    ]);
    return g.Mul(x!, rounded!);
  };
  for (const { error, tolerance } of await gradcheck(build, {
    inputs: [
      { bools: [1], dims: [] },
      { shape: [4], domain: 'distinct' },
    ],
  })) {
    expect(error).toBeLessThan(tolerance);
  }
});
