/** @file The modules of a graph by torch's paths: those that can be adapted, and those that can only be trained in full. */

import type { GraphProto } from '../../graph/proto.ts';
import type { NamedModule } from '../../lora/targets.ts';
import { pathFromParameter } from '../../match/modulePath.ts';
import { withParts } from '../../match/partSites.ts';
import type { Site } from '../../match/sites.ts';

/** Sites in graph order, parts of joined layers behind these, then other modules whose parameters the graph holds under torch's names, such as norms. */
export function namedModules(graph: GraphProto, sites: readonly Site[]): NamedModule[] {
  const all = withParts(sites);
  const adaptable = new Set(all.map(({ path }) => path));
  const paths = (graph.initializer ?? []).flatMap(
    ({ name = '' }) => pathFromParameter(name, 'weight') ?? pathFromParameter(name, 'bias') ?? [],
  );
  const others = [...new Set(paths)].filter((path) => !adaptable.has(path));
  return [
    ...all.map(({ path, kind, part, projection }) => ({
      path,
      kind,
      ...(projection ? { projection: projection.as } : {}),
      ...(part ? { partOf: part.of } : {}),
    })),
    ...others.map((path) => ({ path, kind: 'other' })),
  ];
}
