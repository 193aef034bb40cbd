/** @file Lists of names and of graph ports in messages. */

import type { GraphPort } from '../plugin/taskModel.ts';

/** The first `most` names in quotes, and the number of others. */
export function quotedNames(names: readonly string[], most = 5): string {
  const shown = names
    .slice(0, most)
    .map((name) => `"${name}"`)
    .join(', ');
  return names.length > most ? `${shown} and ${names.length - most} more` : shown;
}

/** The first inputs or outputs of a graph: `"pixel_values" float32 [batch, 3, 224, 224], …`. */
export function describedPorts(ports: Readonly<Record<string, GraphPort>>): string {
  const entries = Object.entries(ports);
  const text = entries.slice(0, 8).map(([name, port]) => `"${name}" ${describedPort(port)}`);
  return entries.length === 0 ? 'none' : entries.length > 8 ? `${text.join(', ')} and more` : text.join(', ');
}

/** Type and shape of an input or output. */
export function describedPort({ type, dims }: GraphPort): string {
  return `${type} ${dims ? `[${dims.join(', ')}]` : 'of unknown shape'}`;
}
