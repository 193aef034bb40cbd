/** @file The gradient of If: another If with the gradients of both branches. */

import type { GraphBuilder, Value } from '../graph/builder.ts';
import type { GraphProto, NodeProto } from '../graph/proto.ts';
import { freshNames } from '../graph/uniqueNames.ts';
import { attribute, readNames } from '../graph/walk.ts';
import { isKnownDomain } from '../ops/domains.ts';
import { reachable } from '../ops/rewrites/simplify.ts';
import { zerosLike } from './vjp.ts';

/** Emits the gradients of a branch: cotangents of its outputs in, cotangents of captured values out. */
export type BranchGradients = (
  g: GraphBuilder,
  branch: GraphProto,
  cotangents: Map<string, Value>,
) => ReadonlyMap<string, Value>;

const branchNames = ['then_branch', 'else_branch'] as const;

/** Whether the node is a standard If. */
export function isIf(node: NodeProto): boolean {
  return node.opType === 'If' && isKnownDomain(node);
}

/**
 * Emits the cotangents of the values that an If's branches capture; zeros for a branch that does not read one.
 * Intermediate values are recomputed inside, since they are not accessible from outside.
 * @param dys cotangents of the node's outputs
 * @param captured active values of the outer graph that a branch reads
 * @param taken names that emitted values must avoid
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
    // A branch must produce its own outputs.
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

/** Names of all values that the branches capture. */
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
