/** One line of the metrics page. */
export interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

/** Scrapes the service, as Prometheus does. */
export async function scrape(
  http: string,
  name: string,
  labels: Record<string, string> = {},
): Promise<Sample[]> {
  const text = await (await fetch(`${http}/metrics`)).text();
  return [...text.matchAll(/^(\w+)(?:\{(.*)\})? (\S+)$/gm)]
    .map(([, metric = '', pairs = '', value]) => ({
      name: metric,
      labels: Object.fromEntries(
        [...pairs.matchAll(/(\w+)="([^"]*)"/g)].map(([, key = '', label = '']) => [key, label]),
      ),
      value: Number(value),
    }))
    .filter(
      (sample) =>
        sample.name === name && Object.entries(labels).every(([key, label]) => sample.labels[key] === label),
    );
}

/** The sum of all samples with this name and these labels. */
export async function total(
  http: string,
  name: string,
  labels: Record<string, string> = {},
): Promise<number> {
  return (await scrape(http, name, labels)).reduce((sum, { value }) => sum + value, 0);
}
