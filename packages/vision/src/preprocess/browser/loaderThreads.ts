/** @file No threads that load images: a page loads them in the worker that trains, where the browser decodes. */

export function loaderThreads(): undefined {
  return undefined;
}
