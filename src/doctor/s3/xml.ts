/**
 * The contents of all elements with this name. Elements with XML attributes are not found. In the answers that the
 * doctor reads, only the root element has XML attributes.
 */
export function inXml(xml: string, name: string): string[] {
  return [...xml.matchAll(new RegExp(`<${name}>([\\s\\S]*?)</${name}>`, 'g'))].map(
    ([, content = '']) => content,
  );
}

/** The texts of all elements with this name, without the quotes that S3 puts around an ETag. */
export function textsIn(xml: string, name: string): string[] {
  return inXml(xml, name).map((text) => text.replaceAll('&quot;', '').replaceAll('"', '').trim());
}
