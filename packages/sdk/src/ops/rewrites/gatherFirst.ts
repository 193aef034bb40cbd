/** @file Moves Gather before products: `Gather(x · W, rows)` is `Gather(x, rows) · W`, cheaper for a language model. */

import { attributeOf } from '../schema.ts';
import type { GraphBuilder, Value } from '../../graph/builder.ts';
import type { NodeProto } from '../../graph/proto.ts';
import { isStatic, type ValueType } from '../../graph/value.ts';
import { indexNodes } from '../../graph/walk.ts';
import { isElementwise } from '../axes.ts';

/** Moves each Gather of rows before the first products with weights. Exact. Updates `types`; unread nodes stay. */
export function gatherFirst(nodes: readonly NodeProto[], types: Map<string, ValueType>, g: GraphBuilder): NodeProto[] {
  const { producer } = indexNodes(nodes);
  const value = (name: string): Value => ({ name, ...(types.get(name) ?? g.types.get(name)) });
  return nodes.flatMap((node) => {
    const [data = '', indices = ''] = node.input ?? [];
    if (node.opType !== 'Gather' || attributeOf(node, 'axis') !== 0) return [node];
    if (value(data).shape?.length !== 2 || value(indices).shape?.length !== 1) return [node];
    const { rows, products } = rowsOf(value(data), value(indices), { g, producer, value });
    const made = g.nodes.splice(0);
    if (products === 0) return [node];
    for (const [name, type] of g.types) if (!types.has(name)) types.set(name, type);
    made.push({ opType: 'Identity', name: node.name ?? '', input: [rows.name], output: node.output! });
    return made;
  });
}

/** Computes the rows `[indices, last]` of a value `[…, last]` and counts the `products` that now compute only these. */
function rowsOf(
  data: Value,
  indices: Value,
  context: { g: GraphBuilder; producer: ReadonlyMap<string, NodeProto>; value: (name: string) => Value },
): { readonly rows: Value; readonly products: number } {
  const { g, producer, value } = context;
  let products = 0;
  const known = new Map<string, Value>();
  const rowsOfValue = (whole: Value): Value => {
    const rows = known.get(whole.name) ?? computed(whole) ?? gathered(whole);
    known.set(whole.name, rows);
    return rows;
  };
  const computed = ({ name, shape }: Value): Value | undefined => {
    const node = producer.get(name);
    if (!node || !isStatic(shape) || node.output?.length !== 1) return undefined;
    const inputs = (node.input ?? []).map(value);
    const [a, b] = inputs;
    switch (node.opType) {
      case 'MatMul':
        if (b?.shape?.length !== 2 || (a?.shape?.length ?? 0) < 2) return undefined;
        products++;
        return g.MatMul(rowsOfValue(a!), b);
      case 'Reshape':
        return a?.shape?.at(-1) === shape.at(-1) ? rowsOfValue(a!) : undefined;
      default: {
        // A single-row result would be broadcast, not gathered.
        if (!isElementwise(node) || isOneRow(shape)) return undefined;
        if (!inputs.every((each) => fits(each.shape, shape))) return undefined;
        const operands = inputs.map((each) => (isOneRow(each.shape!) ? each : rowsOfValue(each)));
        const rows = g.emit(node.opType!, operands);
        Object.assign(g.nodes.at(-1)!, { domain: node.domain, attribute: node.attribute });
        return rows;
      }
    }
  };
  const gathered = (whole: Value): Value => {
    const last = whole.shape!.at(-1) as number;
    return g.Gather(whole.shape!.length === 2 ? whole : g.Reshape(whole, [-1, last]), indices, 0);
  };
  return { rows: rowsOfValue(data), products };
}

/** Whether an operand has the result's rows, or one row for all. */
function fits(shape: Value['shape'], result: readonly number[]): boolean {
  return isStatic(shape) && (isOneRow(shape) || shape.join() === result.join());
}

/** Whether an operand is broadcast over all rows; a higher rank would raise the result's. */
function isOneRow(shape: readonly (number | string)[]): boolean {
  return shape.length < 2 || (shape.length === 2 && shape[0] === 1);
}
