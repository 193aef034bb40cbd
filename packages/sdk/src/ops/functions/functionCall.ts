/** @file One call of a function: its body with the call's inputs, outputs and attributes put in. */

import type { AttributeProto, FunctionProto, GraphProto, NodeProto, ValueInfoProto } from '../../graph/proto.ts';

/** The body of a function as it stands at one call. */
export interface CallBody {
  readonly nodes: readonly NodeProto[];
  /** Types that the function declares for its values, under their new names. */
  readonly valueInfo: readonly ValueInfoProto[];
  /** Names that the body brings into the graph. */
  readonly names: readonly string[];
}

/**
 * The body of `called` for one call. Formal inputs become the call's, an omitted one an empty name; formal outputs
 * become the call's; other values, and nodes, are called `<scope>/<name>`. Attributes that refer to the function's take
 * the call's value, else the default, and are left out where there is neither.
 */
export function functionCall(call: NodeProto, called: FunctionProto, scope: string): CallBody {
  const names = new Map<string, string>();
  const passed: NodeProto[] = [];
  (called.input ?? []).forEach((formal, i) => names.set(formal, call.input?.[i] ?? ''));
  (called.output ?? []).forEach((formal, i) => {
    const actual = call.output?.[i];
    if (!actual) return;
    // An input that the function hands on, or an output that it yields twice, needs a name of its own.
    if (names.has(formal)) passed.push(identity(names.get(formal)!, actual, `${scope}/Identity_${i}`));
    else names.set(formal, actual);
  });
  const attributes = new Map((called.attributeProto ?? []).map((each) => [each.name ?? '', each]));
  for (const each of call.attribute ?? []) attributes.set(each.name ?? '', each);

  const body = new Body(scope, names, attributes);
  const scopes = call.metadataProps;
  const nodes = [
    ...(called.node ?? []).map((node, i) => {
      const placed = body.node(node, unnamed(node, i));
      return placed.metadataProps?.length || !scopes ? placed : { ...placed, metadataProps: scopes };
    }),
    ...passed,
  ];
  const inner = (called.valueInfo ?? []).filter(({ name = '' }) => !names.has(name));
  return {
    nodes,
    valueInfo: inner.map((info) => ({ ...info, name: body.value(info.name ?? '') })),
    names: nodes.flatMap(({ name, output }) => [name ?? '', ...(output ?? [])]),
  };
}

/** What a node of a body is called that has no name: by its operator and its place. */
export function unnamed({ opType = '' }: NodeProto, index: number): string {
  return `${opType}_${index}`;
}

function identity(input: string, output: string, name: string): NodeProto {
  return { name, opType: 'Identity', input: [input], output: [output] };
}

/** Renames what stands in the body of a function. */
class Body {
  readonly #scope: string;
  readonly #names: ReadonlyMap<string, string>;
  readonly #attributes: ReadonlyMap<string, AttributeProto>;

  constructor(scope: string, names: ReadonlyMap<string, string>, attributes: ReadonlyMap<string, AttributeProto>) {
    this.#scope = scope;
    this.#names = names;
    this.#attributes = attributes;
  }

  value(name: string): string {
    return name === '' ? '' : (this.#names.get(name) ?? `${this.#scope}/${name}`);
  }

  node(node: NodeProto, name: string): NodeProto {
    return {
      ...node,
      name: `${this.#scope}/${node.name || name}`,
      input: (node.input ?? []).map((name) => this.value(name)),
      output: (node.output ?? []).map((name) => this.value(name)),
      attribute: (node.attribute ?? []).flatMap((each) => this.#attribute(each)),
    };
  }

  #attribute(attribute: AttributeProto): AttributeProto[] {
    if (attribute.refAttrName) {
      const given = this.#attributes.get(attribute.refAttrName);
      return given ? [{ ...given, ...(attribute.name === undefined ? {} : { name: attribute.name }) }] : [];
    }
    return [
      {
        ...attribute,
        ...(attribute.g ? { g: this.#graph(attribute.g) } : {}),
        ...(attribute.graphs ? { graphs: attribute.graphs.map((graph) => this.#graph(graph)) } : {}),
      },
    ];
  }

  #graph(graph: GraphProto): GraphProto {
    const renamed = <T extends { name?: string }>(each: T): T => ({ ...each, name: this.value(each.name ?? '') });
    return {
      ...graph,
      node: (graph.node ?? []).map((node, i) => this.node(node, unnamed(node, i))),
      ...(graph.initializer ? { initializer: graph.initializer.map(renamed) } : {}),
      ...(graph.input ? { input: graph.input.map(renamed) } : {}),
      ...(graph.output ? { output: graph.output.map(renamed) } : {}),
      ...(graph.valueInfo ? { valueInfo: graph.valueInfo.map(renamed) } : {}),
    };
  }
}
