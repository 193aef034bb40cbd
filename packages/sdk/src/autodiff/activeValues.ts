/** @file Active values: everything computed from parameters through differentiable inputs. */

import type { CustomGradient } from '../graph/builder.ts';
import type { NodeProto } from '../graph/proto.ts';
import type { ValueType } from '../graph/value.ts';
import { indexNodes, readNames, subgraphs } from '../graph/walk.ts';
import { isKnownDomain } from '../ops/domains.ts';
import { isLargestOfRows } from '../ops/quantization/forms.ts';
import { isIf } from './branches.ts';
import { ruleOf, stopGradientOps } from './rules.ts';
import { isFloat } from './vjp.ts';

interface ActiveValuesRequest {
  readonly types: ReadonlyMap<string, ValueType>;
  readonly wrt: readonly string[];
  readonly stopped: ReadonlySet<string>;
  readonly given?: ReadonlyMap<string, readonly CustomGradient[]>;
}

/** Finds the values that gradients flow into, visiting nodes in graph order. */
export class ActiveValues {
  readonly #about: ActiveValuesRequest;
  readonly #active: Set<string>;

  constructor(about: ActiveValuesRequest) {
    this.#about = about;
    this.#active = new Set(about.wrt);
  }

  has(name: string): boolean {
    return this.#active.has(name);
  }

  /** Marks the outputs of a node after its inputs; returns whether gradients pass it. */
  visit(node: NodeProto): boolean {
    if (isIf(node)) return this.#visitBranches(node);
    if (!this.#isReached(node)) return false;
    // Integers have a gradient only if they stand for floats: quantized values and their results.
    const holdsIntegers = isQuantizer(node) || this.#readsIntegers(node);
    const outputs = node.opType === 'DynamicQuantizeLinear' ? (node.output ?? []).slice(0, 1) : (node.output ?? []);
    for (const name of outputs) {
      const isSmooth = isFloat(this.#about.types.get(name)?.type) || holdsIntegers;
      if (name && !this.#about.stopped.has(name) && isSmooth) this.#active.add(name);
    }
    return true;
  }

  /** Whether a subgraph of the node reads an active value. */
  isCapturedBy(node: NodeProto): boolean {
    return subgraphs(node).length > 0 && readNames(node).some((name) => this.has(name));
  }

  #visitBranches(node: NodeProto): boolean {
    for (const { node: nodes = [], output = [] } of subgraphs(node)) {
      for (const each of nodes) this.visit(each);
      output.forEach(({ name = '' }, i) => {
        const outer = node.output?.[i] ?? '';
        if (outer && this.has(name) && !this.#about.stopped.has(outer)) this.#active.add(outer);
      });
    }
    return (node.output ?? []).some((name) => this.has(name));
  }

  #readsIntegers({ input = [] }: NodeProto): boolean {
    return input.some((name) => this.has(name) && !isFloat(this.#about.types.get(name)?.type));
  }

  #isReached(node: NodeProto): boolean {
    if (!node.known?.gradient && isKnownDomain(node) && stopGradientOps.has(node.opType ?? '')) return false;
    const rule = ruleOf(node);
    const reads = (node.input ?? []).some((name, i) => this.has(name) && !(Array.isArray(rule) && rule[i] === null));
    const given = this.#about.given?.get(node.output?.[0] ?? '') ?? [];
    return reads || given.some(({ by }) => this.has(by.name)) || this.isCapturedBy(node);
  }
}

function isQuantizer({ opType }: NodeProto): boolean {
  return opType === 'QuantizeLinear' || opType === 'DynamicQuantizeLinear';
}

/** Straight-through differences p − s in `s + (p − s).detach()`, as in quantized codes: they must stop gradients. */
export function straightThroughDifferences(nodes: readonly NodeProto[]): string[] {
  const { readers } = indexNodes(nodes);
  return nodes.flatMap(({ opType, input = [], output: [difference] = [] }) => {
    const [reader, another] = opType === 'Sub' ? (readers.get(difference!) ?? []) : [];
    return reader?.opType === 'Add' && !another && reader.input!.includes(input[1]!) ? [difference!] : [];
  });
}

/** Row maxima that scale a quantized product's input down and its output up: the gradients through them cancel. */
export function scalesOfRows(nodes: readonly NodeProto[]): string[] {
  const { producer, readers } = indexNodes(nodes);
  return nodes.flatMap(({ opType, output: [rows = ''] = [] }) => {
    if (opType !== 'Max') return [];
    const divisions = (readers.get(rows) ?? []).filter((node) => node.opType === 'Div' && node.input?.[1] === rows);
    const isRounded = divisions.some(
      ({ input: [x = ''] = [], output: [divided = ''] = [] }) =>
        isLargestOfRows(rows, x, (name) => producer.get(name)) &&
        readers.get(divided)?.every((node) => node.opType === 'QuantizeLinear'),
    );
    return isRounded && readers.get(rows)!.every((node) => divisions.includes(node) || node.opType === 'Mul')
      ? [rows]
      : [];
  });
}
