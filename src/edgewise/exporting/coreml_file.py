"""Core ML packages, for devices of Apple; nothing runs them elsewhere, so they are not compared."""

from __future__ import annotations

from pathlib import Path

from edgewise.exporting.exported_graph import exported_graph, quietly
from edgewise.exporting.file_format import Format
from edgewise.exporting.subject import Subject


def write_coreml(subject: Subject, path: Path) -> None:
    """A folder NAME.mlpackage, float32 (the default of the converter is float16), for iOS 16 and later."""
    graph = exported_graph(subject, "coreml")
    with quietly():
        import coremltools

        graph = graph.run_decompositions({})
        model = coremltools.convert(
            graph,
            compute_precision=coremltools.precision.FLOAT32,
            minimum_deployment_target=coremltools.target.iOS16,
            skip_model_load=True,
        )
        model.user_defined_metadata.update(subject.metadata_texts())
        model.save(str(path))


COREML = Format(
    "coreml", ".mlpackage", write_coreml, extra="coreml", packages=(("coremltools", "coremltools"),), runtime=""
)
