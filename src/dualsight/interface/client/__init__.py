"""The Python client of a `dualsight serve` somewhere else: `Model`'s methods, answered over HTTP.

pictures ──upload──▶ batches ──calls──▶ Request ──Client | AsyncClient──▶ server ──Reply──▶ answers ──▶ results
"""
