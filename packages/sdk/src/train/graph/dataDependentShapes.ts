/** @file Explains outputs of data-dependent length, such as detected boxes, and suggests values for the loss. */

import { OnnxLoraError } from '../../errors.ts';
import type { GraphProto, NodeProto } from '../../graph/proto.ts';
import { formatShape, isStatic, type ValueType } from '../../graph/value.ts';
import { indexNodes, readNames } from '../../graph/walk.ts';

/** Number of values that an error lists. */
const FEW = 4;

/**
 * Explains an output of unknown shape: the node that makes its length depend on the data, and, nearest first, earlier
 * values of the model that a loss can use: of known size and changed by training. Returns the error itself if all
 * outputs have known sizes.
 * @param own the graph without adapters, whose values a task can name
 * @param trained names of the trained values
 */
export function dataDependentShapeError(
  error: OnnxLoraError,
  graph: GraphProto,
  types: ReadonlyMap<string, ValueType>,
  own: GraphProto,
  trained: readonly string[],
): OnnxLoraError {
  const isOpen = (name = ''): boolean => !isStatic(types.get(name)?.shape);
  const output = (graph.output ?? []).find(({ name }) => isOpen(name))?.name;
  if (output === undefined) return error;
  const { producer: makers } = indexNodes(graph.node ?? []);
  const nameable = new Set((own.node ?? []).flatMap(({ output = [] }) => output));
  const changed = changedBy(graph, trained);
  const decided: NodeProto[] = [];
  const before = new Set<string>();
  // Iterating a set includes elements added on the way.
  const behind = new Set([output]);
  for (const name of behind) {
    const node = makers.get(name);
    if (!node) continue;
    const read = readNames(node);
    if (read.some(isOpen)) for (const each of read) if (isOpen(each)) behind.add(each);
    if (!read.some((each) => makers.has(each) && isOpen(each))) decided.push(node);
    for (const each of read) if (!isOpen(each)) before.add(each);
  }
  // The nearest may be transposed weights or part of an adapter; then earlier ones are tried.
  const usable = new Set<string>();
  for (const name of before) {
    if (!changed.has(name)) continue;
    if (nameable.has(name) && types.get(name)?.type?.includes('float')) usable.add(name);
    else for (const each of readNames(makers.get(name) ?? {})) before.add(each);
  }
  const [node] = decided;
  if (!node) return error;
  const values = [...usable].slice(0, FEW);
  const listed = values.map((name) => `"${name}" ${formatShape(types.get(name)?.shape)}`).join(', ');
  const remedy =
    values.length > 0
      ? `Compute the loss from a value before it: ${listed}. The task names it in its outputs (outputs: ${JSON.stringify(values.slice(0, 1))}); model.withOutputs shows what it holds.`
      : 'Export the model without that part, and compute the loss from what comes before.';
  return new OnnxLoraError(
    error.code,
    `How long the output "${output}" is depends on the data: ${node.opType} "${node.name || node.output?.[0]}" decides it while the graph runs, and a loss and its gradient need sizes before. ${remedy}`,
    { cause: error },
  );
}

/** Names of the values that depend on the given ones, including those. Nodes are sorted. */
function changedBy({ node = [] }: GraphProto, names: readonly string[]): ReadonlySet<string> {
  const found = new Set(names);
  for (const each of node)
    if (readNames(each).some((name) => found.has(name))) for (const name of each.output ?? []) found.add(name);
  return found;
}
