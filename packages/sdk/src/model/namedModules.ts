/** @file The modules of a graph by torch's paths: those that can be adapted, and those that can only be trained in full. */

import type { GraphProto } from '../graph/proto.ts';
import type { NamedModule } from '../lora/targets.ts';
import { pathFromParameter } from '../match/modulePath.ts';
import type { Site } from '../match/sites.ts';

/** Sites in graph order, then other modules whose parameters the graph holds under torch's names, such as norms. */
export function namedModules(graph: GraphProto, sites: readonly Site[]): NamedModule[] {
  const adaptable = new Set(sites.map(({ path }) => path));
  const paths = (graph.initializer ?? []).flatMap(
    ({ name = '' }) => pathFromParameter(name, 'weight') ?? pathFromParameter(name, 'bias') ?? [],
  );
  const others = [...new Set(paths)].filter((path) => !adaptable.has(path));
  return [...sites, ...others.map((path) => ({ path, kind: 'other' }))];
}
