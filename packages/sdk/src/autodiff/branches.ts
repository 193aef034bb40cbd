/** @file The gradient of If: another If, whose branches compute the gradients of what the branches read from outside. */

import type { GraphBuilder, Value } from '../graph/builder.ts';
import type { GraphProto, NodeProto } from '../graph/proto.ts';
import { freshNames } from '../graph/uniqueNames.ts';
import { attribute, readNames } from '../graph/walk.ts';
import { isKnownDomain } from '../ops/domains.ts';
import { reachable } from '../ops/rewrites/simplify.ts';
import { zerosLike } from './vjp.ts';

/** Emits the gradients of a branch with `g`: cotangents of its outputs in, cotangents of captured values out. */
export type BranchGradients = (
  g: GraphBuilder,
  branch: GraphProto,
  cotangents: Map<string, Value>,
) => ReadonlyMap<string, Value>;

const branchNames = ['then_branch', 'else_branch'] as const;

/** Whether the node is an If of the standard operators. */
export function isIf(node: NodeProto): boolean {
  return node.opType === 'If' && isKnownDomain(node);
}

/**
 * Emits the cotangents of the values that an If's branches capture. A branch that does not read a value gives zeros. What a
 * branch computed on its way is computed again inside, since nothing of it can be read from outside.
 *
 * @param dys cotangents of the node's outputs
 * @param captured values of the graph around that gradients flow into and that a branch reads
 * @param taken names that the emitted values must not have
 */
export function ifBack(
  g: GraphBuilder,
  node: NodeProto,
  dys: readonly (Value | undefined)[],
  captured: readonly Value[],
  taken: Iterable<string>,
  gradientsOf: BranchGradients,
): readonly Value[] {
  const names = new Set(taken);
  const bodies = branchNames.map((name) => {
    const branch = attribute(node, name)!.g!;
    const inner = g.inner(`${node.output!.find(Boolean)}/${name}`);
    const cotangents = new Map<string, Value>();
    (branch.output ?? []).forEach(({ name: output = '' }, i) => {
      const [dy, before] = [dys[i], cotangents.get(output)];
      if (dy) cotangents.set(output, before ? inner.Add(before, dy) : dy);
    });
    const found = gradientsOf(inner, branch, cotangents);
    // A branch must make what it yields itself.
    const results = captured.map((value) => inner.Identity(found.get(value.name) ?? zerosLike(inner, value)));
    return freshNames(bodyOf(branch, inner, results), names);
  });
  const outputs = g.emitMany('If', [{ name: node.input![0]! }], captured.length, {
    then_branch: { graph: bodies[0]! },
    else_branch: { graph: bodies[1]! },
  });
  return outputs.map(({ name }, i) => {
    const { type, shape } = captured[i]!;
    g.types.set(name, { type, shape });
    return { name, type, shape };
  });
}

/** Names of the values that both branches together read from outside. */
export function capturedBy(node: NodeProto): string[] {
  return [...new Set(readNames({ ...node, input: [] }))];
}

function bodyOf(branch: GraphProto, inner: GraphBuilder, results: readonly Value[]): GraphProto {
  const outputs = results.map(({ name }) => name);
  const node = reachable([...(branch.node ?? []), ...inner.nodes], outputs);
  const read = new Set(node.flatMap(readNames));
  return {
    name: `${branch.name ?? 'branch'}_gradient`,
    node,
    initializer: [...(branch.initializer ?? []), ...inner.initializers].filter(({ name }) => read.has(name ?? '')),
    output: outputs.map((name) => ({ name })),
  };
}
