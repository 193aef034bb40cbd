/**
 * @file Takes rows before they are computed: `Gather(x · W, rows)` is `Gather(x, rows) · W`, and a language model's product
 * with its vocabulary is the largest of all.
 */

import type { GraphBuilder, Value } from '../../graph/builder.ts';
import type { NodeProto } from '../../graph/proto.ts';
import { isStatic, type ValueType } from '../../graph/value.ts';
import { indexNodes, intAttribute } from '../../graph/walk.ts';
import { isElementwise } from '../axes.ts';

/**
 * Rewrites each Gather of rows `[rows, …]` of what is computed from rows, down to before the first products with weights. Exact.
 * Updates `types`; nodes that nothing reads any more stay.
 *
 * @param g makes the new nodes
 */
export function gatherFirst(nodes: readonly NodeProto[], types: Map<string, ValueType>, g: GraphBuilder): NodeProto[] {
  const { producer } = indexNodes(nodes);
  const value = (name: string): Value => ({ name, ...(types.get(name) ?? g.types.get(name)) });
  return nodes.flatMap((node) => {
    const [data = '', indices = ''] = node.input ?? [];
    if (node.opType !== 'Gather' || intAttribute(node, 'axis', 0) !== 0) return [node];
    if (value(data).shape?.length !== 2 || value(indices).shape?.length !== 1) return [node];
    const rows = new Rows(g, producer, value, value(indices));
    const taken = rows.of(data);
    const made = g.nodes.splice(0);
    if (rows.products === 0) return [node];
    for (const [name, type] of g.types) if (!types.has(name)) types.set(name, type);
    made.push({ opType: 'Identity', name: node.name ?? '', input: [taken.name], output: node.output! });
    return made;
  });
}

/** Makes rows that are wanted of values whose axes but the last are rows, one after the other. */
class Rows {
  /** Products that are now of these rows alone. */
  products = 0;
  readonly #g: GraphBuilder;
  readonly #producer: ReadonlyMap<string, NodeProto>;
  readonly #value: (name: string) => Value;
  readonly #indices: Value;
  readonly #known = new Map<string, Value>();

  constructor(
    g: GraphBuilder,
    producer: ReadonlyMap<string, NodeProto>,
    value: (name: string) => Value,
    indices: Value,
  ) {
    this.#g = g;
    this.#producer = producer;
    this.#value = value;
    this.#indices = indices;
  }

  /** `[indices, last]` of a value `[…, last]`. */
  of(name: string): Value {
    const known = this.#known.get(name) ?? this.#computed(name) ?? this.#gathered(name);
    this.#known.set(name, known);
    return known;
  }

  #computed(name: string): Value | undefined {
    const node = this.#producer.get(name);
    const [g, shape] = [this.#g, this.#value(name).shape];
    if (!node || !isStatic(shape) || node.output?.length !== 1) return undefined;
    const inputs = (node.input ?? []).map((each) => this.#value(each));
    const [a, b] = inputs;
    const same = ({ opType, domain, attribute }: NodeProto, operands: readonly Value[]): Value => {
      const output = g.emit(opType!, operands);
      Object.assign(g.nodes.at(-1)!, { domain, attribute });
      return output;
    };
    switch (node.opType) {
      case 'MatMul':
        if (b?.shape?.length !== 2 || (a?.shape?.length ?? 0) < 2) return undefined;
        this.products++;
        return g.MatMul(this.of(a!.name), b);
      case 'Reshape':
        return a?.shape?.at(-1) === shape.at(-1) ? this.of(a!.name) : undefined;
      default:
        // Of one row alone no operand is taken by row, and so the result would not be either.
        if (!isElementwise(node) || isOneRow(shape)) return undefined;
        if (!inputs.every((each) => fits(each.shape, shape))) return undefined;
        return same(
          node,
          inputs.map((each) => (isOneRow(each.shape!) ? each : this.of(each.name))),
        );
    }
  }

  #gathered(name: string): Value {
    const value = this.#value(name);
    const last = value.shape!.at(-1) as number;
    const rows = value.shape!.length === 2 ? value : this.#g.Reshape(value, [-1, last]);
    return this.#g.Gather(rows, this.#indices, 0);
  }
}

/** Whether an operand has the same rows as the result, or one row for all. */
function fits(shape: Value['shape'], result: readonly number[]): boolean {
  return isStatic(shape) && (isOneRow(shape) || shape.join() === result.join());
}

/** Whether an operand is broadcast over all rows; one of more axes than two would give the result more, too. */
function isOneRow(shape: readonly (number | string)[]): boolean {
  return shape.length < 2 || (shape.length === 2 && shape[0] === 1);
}
